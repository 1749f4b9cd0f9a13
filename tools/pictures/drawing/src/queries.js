// Queries as Grafana's Prometheus data source sends them, and their answers as its data frames.
import { FieldType, toDataFrame } from '@grafana/data';

const STEPS = [
  [1.5, 1], [3.5, 2], [7.5, 5], [12.5, 10], [17.5, 15], [25, 20], [45, 30], [90, 60], [210, 120], [450, 300],
  [750, 600], [1050, 900], [1500, 1200], [2700, 1800], [5400, 3600], [9000, 7200], [16200, 10800], [32400, 21600],
  [86400, 43200], [604800, 86400],
];
const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
const escapeRegex = (text) => text.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&');

export async function ask(path, parameters) {
  const response = await fetch(`/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const answer = await response.json();
  if (answer.status !== 'success') {
    throw new Error(`${answer.errorType}: ${answer.error} in ${parameters.query ?? parameters['match[]']}`);
  }
  return answer.data;
}

// The step of a panel in seconds: the range over the points that fit, rounded to a step of Grafana's.
export function stepOf(panel, view, width) {
  const points = panel.maxDataPoints ?? Math.max(Math.round(width), 1);
  const exact = (view.to - view.from) / points;
  const rounded = STEPS.find(([limit]) => exact < limit)?.[1] ?? 604800;
  const [, number, unit] = /^>?(\d+)([smhdw])$/.exec(panel.interval ?? `${view.scrapeInterval}s`);
  return Math.max(rounded, Number(number) * SECONDS[unit]);
}

export function expand(text, view, step = 15) {
  const range = Math.round(view.to - view.from);
  const builtin = {
    __interval: `${step}s`,
    __interval_ms: step * 1000,
    __rate_interval: `${Math.max(step + view.scrapeInterval, 4 * view.scrapeInterval)}s`,
    __range: `${range}s`,
    __range_s: range,
    __range_ms: range * 1000,
  };
  return text.replace(/\$\{(\w+)(?::(\w+))?\}|\$(\w+)/g, (whole, braced, format, bare) => {
    const name = braced ?? bare;
    if (name in builtin) {
      return builtin[name];
    }
    const variable = view.variables[name];
    return variable ? formatted(variable, format) : whole;
  });
}

function formatted(variable, format) {
  const values = [variable.value].flat();
  if (values[0] === '$__all') {
    return variable.allValue ?? `(${variable.options.map((option) => escapeRegex(option.value)).join('|')})`;
  }
  if (format === 'raw') {
    return values.join(',');
  }
  if (variable.multi || variable.includeAll) {
    const escaped = values.map(escapeRegex);
    return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
  }
  return values[0].replace(/\\/g, '\\\\').replace(/"/g, '\\"');
}

export async function framesOf(panel, view, width) {
  const step = stepOf(panel, view, width);
  const answers = await Promise.all(panel.targets.map((target) => answerOf(target, view, step)));
  const tables = panel.targets.filter((target) => target.format === 'table').length;
  return answers.flatMap(({ target, series }) =>
    target.format === 'table' ? [tableFrame(target, series, tables)] : series.map((one) => lineFrame(target, one, step))
  );
}

async function answerOf(target, view, step) {
  const query = expand(target.expr, view, step);
  if (target.instant) {
    const { result } = await ask('query', { query, time: view.to });
    return { target, series: result.map((one) => ({ metric: one.metric, values: [one.value] })) };
  }
  const from = Math.floor(view.from / step) * step;
  const to = Math.floor(view.to / step) * step;
  const { result } = await ask('query_range', { query, start: from, end: to, step });
  return { target, series: result };
}

function lineFrame(target, { metric, values }, step) {
  const labels = { ...metric };
  delete labels.__name__;
  const name = target.legendFormat && target.legendFormat !== '__auto' ? legend(target.legendFormat, metric) : undefined;
  return toDataFrame({
    refId: target.refId,
    meta: { type: 'timeseries-multi' },
    fields: [
      { name: 'Time', type: FieldType.time, values: values.map(([at]) => at * 1000), config: { interval: step * 1000 } },
      {
        // The name is what Grafana's colours by name go by; its own frames have it in a cache that a join empties.
        name: name ?? 'Value',
        type: FieldType.number,
        values: values.map(([, value]) => number(value)),
        labels,
        config: name ? { displayNameFromDS: name } : {},
      },
    ],
  });
}

function tableFrame(target, series, tables) {
  const names = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: series.map(({ values }) => values[0][0] * 1000), config: {} },
      ...names.map((name) => ({
        name,
        type: FieldType.string,
        values: series.map(({ metric }) => metric[name] ?? ''),
        config: { filterable: true },
      })),
      {
        name: tables > 1 ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        values: series.map(({ values }) => number(values[0][1])),
        config: {},
      },
    ],
  });
}

function number(text) {
  return { '+Inf': Infinity, '-Inf': -Infinity }[text] ?? Number(text);
}

function legend(format, metric) {
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name) => metric[name] ?? '');
}
