// The choices of a dashboard's variables: asked of Prometheus, in order, each seeing those before it.
import { ask, expand } from './queries.js';

export async function chosen(variables, wanted, view) {
  for (const model of variables) {
    const options = model.type === 'query' ? await optionsOf(model, view) : [{ text: 'Prometheus', value: 'prometheus' }];
    const value = wanted[model.name] ?? (model.includeAll ? '$__all' : (options[0]?.value ?? ''));
    const text = value === '$__all' ? 'All' : (options.find((option) => option.value === value)?.text ?? value);
    view.variables[model.name] = { ...model, options, value, text };
  }
}

async function optionsOf(model, view) {
  const [, name, inside] = /^(\w+)\((.*)\)$/s.exec(model.query);
  const found = name === 'label_values' ? await labelValues(inside, view) : await results(inside, view);
  return found.map((text) => option(text, model.regex)).filter(Boolean);
}

async function labelValues(inside, view) {
  const at = inside.lastIndexOf(',');
  const match = expand(inside.slice(0, at), view);
  const series = await ask('series', { 'match[]': match, start: view.from, end: view.to });
  return [...new Set(series.map((labels) => labels[inside.slice(at + 1).trim()]))].sort();
}

async function results(inside, view) {
  const { result } = await ask('query', { query: expand(inside, view), time: view.to });
  return result
    .map(({ metric, value }) => {
      const { __name__: name = '', ...labels } = metric;
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      return `${name}{${pairs.join(',')}} ${value[1]} ${value[0] * 1000}`;
    })
    .sort();
}

function option(text, regex) {
  if (!regex) {
    return { text, value: text };
  }
  const groups = new RegExp(regex.slice(1, -1)).exec(text)?.groups;
  return groups && { text: groups.text ?? groups.value, value: groups.value ?? groups.text };
}
