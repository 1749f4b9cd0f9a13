// A field's configuration as Grafana sets it up for a kind of panel: its own defaults, then the panel's, then overrides.
import { applyFieldOverrides, cacheFieldDisplayNames, FieldConfigOptionsRegistry } from '@grafana/data';

const STANDARD = [
  'unit', 'decimals', 'min', 'max', 'color', 'thresholds', 'mappings', 'displayName', 'noValue', 'links', 'filterable',
];
const CUSTOM = {
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    lineStyle: undefined,
    fillOpacity: 0,
    fillBelowTo: undefined,
    gradientMode: 'none',
    spanNulls: false,
    insertNulls: false,
    showPoints: 'auto',
    pointSize: 5,
    stacking: { mode: 'none', group: 'A' },
    axisPlacement: 'auto',
    axisLabel: '',
    axisColorMode: 'text',
    axisBorderShow: false,
    axisCenteredZero: false,
    scaleDistribution: { type: 'linear' },
    thresholdsStyle: { mode: 'off' },
    hideFrom: { legend: false, tooltip: false, viz: false },
  },
  table: {
    align: 'auto',
    width: undefined,
    minWidth: undefined,
    cellOptions: { type: 'auto' },
    inspect: false,
    filterable: false,
    hidden: false,
    'hideFrom.viz': undefined,
    wrapText: false,
    wrapHeaderText: false,
  },
  stat: {},
  bargauge: {},
};

export function configured(panel, frames, theme, view) {
  const custom = CUSTOM[panel.type];
  if (!custom) {
    throw new Error(`no picture of panels of type ${panel.type} yet`);
  }
  const defaults = panel.fieldConfig.defaults;
  const fields = applyFieldOverrides({
    data: frames,
    fieldConfig: {
      defaults: {
        ...defaults,
        color: defaults.color ?? { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' },
        thresholds: grounded(defaults.thresholds ?? { mode: 'absolute', steps: [{ value: null, color: 'green' }] }),
        custom: { ...nested(custom), ...defaults.custom },
      },
      overrides: panel.fieldConfig.overrides.map(({ matcher, properties }) => ({
        matcher,
        properties: properties.map(({ id, value }) => ({ id, value: id === 'thresholds' ? grounded(value) : value })),
      })),
    },
    fieldConfigRegistry: registry(custom),
    replaceVariables: (text) => text,
    theme,
    timeZone: view.timeZone,
  });
  cacheFieldDisplayNames(fields);
  return fields;
}

// The lowest threshold has no value in JSON; it stands for everything below the next.
function grounded({ mode, steps }) {
  return { mode, steps: steps.map((step) => ({ ...step, value: step.value ?? -Infinity })) };
}

function registry(custom) {
  const item = (id, isCustom) => ({
    id: isCustom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom,
    editor: () => null,
    override: () => null,
    process: (value) => value,
    shouldApply: () => true,
    settings: {},
  });
  const items = [...STANDARD.map((id) => item(id, false)), ...Object.keys(custom).map((id) => item(id, true))];
  return new FieldConfigOptionsRegistry(() => items);
}

function nested(custom) {
  return Object.fromEntries(Object.entries(custom).filter(([id, value]) => value !== undefined && !id.includes('.')));
}
