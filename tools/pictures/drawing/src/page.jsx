// The page of one dashboard: its controls, its rows opened, its panels where gridPos puts them.
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import { createTheme, dateTime, ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { configured } from './fields.js';
import { Panel } from './panels.jsx';
import { framesOf } from './queries.js';
import { register, transformed } from './transformations.js';
import { chosen } from './variables.js';

const CELL = 30;
const GAP = 8;
const HEADER = 96;

window.draw = async ({ dashboard, from, to, width, variables, scrapeInterval }) => {
  await initPluginTranslations('preview', []);
  register();
  const theme = createTheme({ colors: { mode: 'dark' } });
  const range = { from: dateTime(from * 1000), to: dateTime(to * 1000) };
  const view = { from, to, scrapeInterval, variables: {}, timeRange: { ...range, raw: range }, timeZone: 'utc' };
  document.body.style.margin = 0;
  await Promise.all(['400', '500'].map((weight) => document.fonts.load(`${weight} 16px Inter`)));
  await chosen(dashboard.templating.list, variables, view);
  const places = opened(dashboard.panels);
  const column = (width - 2 * GAP + GAP) / 24;
  const drawn = await Promise.all(places.map((place) => prepared(place, column, theme, view)));
  const height = HEADER + Math.max(...places.map(({ y, h }) => y + h)) * (CELL + GAP) + GAP;
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'relative', width, height, background: theme.colors.background.canvas }}>
        <Controls dashboard={dashboard} view={view} theme={theme} />
        {drawn.map(({ panel, box, ...rest }) => (
          <div key={panel.id} style={{ position: 'absolute', ...box }} data-kind={hasRows(rest.frames) ? panel.type : 'empty'}>
            {panel.type === 'row' ? <Row title={panel.title} theme={theme} /> : <Panel panel={panel} view={view} {...box} {...rest} />}
          </div>
        ))}
      </div>
    </ThemeContext.Provider>
  );
  return { height, errors: drawn.flatMap(({ panel, error }) => (error ? [`${panel.title}: ${error}`] : [])) };
};

// Whether every panel that has something to show has begun to show it: the page is rendered later, and some panels
// measure their place first.
window.drawn = () =>
  document.querySelector('[data-kind]') !== null &&
  Object.entries({ table: '[role="gridcell"]', timeseries: '.u-over', stat: 'span', bargauge: 'span' }).every(([kind, content]) =>
    [...document.querySelectorAll(`[data-kind="${kind}"]`)].every((panel) => panel.querySelector(content))
  );

function hasRows(frames = []) {
  return frames.some((frame) => frame.length > 0);
}

// Collapsed rows are opened for the picture: what stands below moves down.
function opened(panels) {
  let pushed = 0;
  return panels.flatMap((panel) => {
    const place = { panel, ...panel.gridPos, y: panel.gridPos.y + pushed };
    if (!panel.collapsed) {
      return [place];
    }
    const inside = panel.panels.map((one) => ({ panel: one, ...one.gridPos, y: one.gridPos.y + pushed }));
    pushed += Math.max(...inside.map(({ y, h }) => y + h)) - (place.y + 1);
    return [place, ...inside];
  });
}

async function prepared({ panel, x, y, w, h }, column, theme, view) {
  const box = {
    left: Math.round(GAP + x * column),
    top: HEADER + y * (CELL + GAP),
    width: Math.round(w * column - GAP),
    height: h * (CELL + GAP) - GAP,
  };
  if (panel.type === 'row') {
    return { panel, box };
  }
  try {
    const frames = await transformed(await framesOf(panel, view, box.width), panel.transformations);
    return { panel, box, frames: configured(panel, frames, theme, view) };
  } catch (error) {
    return { panel, box, frames: [], error: error.message };
  }
}

function Row({ title, theme }) {
  return <div style={{ padding: '4px 4px', fontWeight: 500, color: theme.colors.text.primary }}>⌄ {title}</div>;
}

function Controls({ dashboard, view, theme }) {
  const box = { border: `1px solid ${theme.colors.border.medium}`, borderRadius: 2, padding: '5px 8px', marginRight: 8 };
  const label = { ...box, background: theme.colors.background.secondary, marginRight: 0, color: theme.colors.text.secondary };
  const shown = Object.values(view.variables).filter((variable) => variable.hide !== 2);
  const format = 'YYYY-MM-DD HH:mm';
  return (
    <div style={{ padding: '12px 12px', fontSize: 13 }}>
      <div style={{ display: 'flex', justifyContent: 'space-between', marginBottom: 14 }}>
        <span style={{ fontSize: 18, fontWeight: 500 }}>{dashboard.title}</span>
        <span style={box}>{`${view.timeRange.from.utc().format(format)} to ${view.timeRange.to.utc().format(format)} UTC`}</span>
      </div>
      <div style={{ display: 'flex' }}>
        {shown.map((variable) => (
          <span key={variable.name} style={{ display: 'flex' }}>
            <span style={label}>{variable.label}</span>
            <span style={box}>{variable.text}</span>
          </span>
        ))}
      </div>
    </div>
  );
}
