// Grafana's own transformations, and the one that turns series into little lines and lives outside of its packages.
import {
  DataTransformerID,
  FieldType,
  isTimeSeriesFrame,
  reduceField,
  standardTransformers,
  standardTransformersRegistry,
  toDataFrame,
  transformDataFrame,
} from '@grafana/data';
import { lastValueFrom, map } from 'rxjs';

const trends = {
  id: DataTransformerID.timeSeriesTable,
  name: 'Time series to table',
  operator: (options) => (source) => source.pipe(map((frames) => inTables(frames, options))),
};

function inTables(frames, options) {
  const kept = frames.filter((frame) => !isTimeSeriesFrame(frame));
  const refIds = [...new Set(frames.filter((frame) => isTimeSeriesFrame(frame)).map((frame) => frame.refId))];
  return [...kept, ...refIds.map((refId) => trendTable(frames.filter((frame) => frame.refId === refId), refId, options))];
}

function trendTable(frames, refId, options) {
  const lines = frames.map((frame) => frame.fields.find((field) => field.type === FieldType.number));
  const labels = [...new Set(lines.flatMap((line) => Object.keys(line.labels ?? {})))];
  const stat = options[refId]?.stat ?? 'lastNotNull';
  const table = toDataFrame({
    refId,
    fields: labels.map((label) => ({
      name: label,
      type: FieldType.string,
      values: lines.map((line) => line.labels[label] ?? ''),
    })),
  });
  const values = frames.map((frame, index) => ({
    ...frame,
    value: reduceField({ field: lines[index], reducers: [stat] })[stat],
  }));
  table.fields.push({ name: `Trend #${refId}`, type: FieldType.frame, config: {}, values });
  table.length = frames.length;
  return table;
}

export function register() {
  standardTransformersRegistry.setInit(() =>
    [...new Map([...Object.values(standardTransformers), trends].map((one) => [one.id, one])).values()].map((transformation) => ({
      id: transformation.id,
      name: transformation.name,
      transformation,
      editor: () => null,
      imageDark: '',
      imageLight: '',
    }))
  );
}

export function transformed(frames, transformations = []) {
  return transformations.length ? lastValueFrom(transformDataFrame(transformations, frames)) : Promise.resolve(frames);
}
