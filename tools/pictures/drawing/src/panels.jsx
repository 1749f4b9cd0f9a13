// Each kind of panel, drawn by Grafana's own component for it.
import {
  applyNullInsertThreshold,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
} from '@grafana/data';
import { BarGauge, BigValue, PanelChrome, TimeSeries, useTheme2, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

const KINDS = { timeseries: Lines, stat: Figure, table: Rows, bargauge: Bars };

export function Panel({ panel, frames, error, view, width, height }) {
  const Kind = KINDS[panel.type];
  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height} padding={panel.type === 'table' ? 'none' : 'md'}>
      {(innerWidth, innerHeight) => {
        if (error) {
          return <div style={{ color: 'red' }}>{error}</div>;
        }
        return empty(frames) ? (
          <Nothing text={panel.fieldConfig.defaults.noValue ?? 'No data'} />
        ) : (
          <Kind panel={panel} frames={frames} view={view} width={innerWidth} height={innerHeight} />
        );
      }}
    </PanelChrome>
  );
}

function empty(frames) {
  return !frames.some((frame) => frame.length > 0);
}

function Nothing({ text }) {
  const theme = useTheme2();
  const style = { display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary };
  return <div style={style}>{text}</div>;
}

function Lines({ panel, frames, view, width, height }) {
  return (
    <TimeSeries
      frames={frames.map((frame) => withGaps(frame, view))}
      structureRev={1}
      timeRange={view.timeRange}
      timeZone={view.timeZone}
      width={width}
      height={height}
      legend={panel.options.legend}
      options={panel.options}
    >
      {() => null}
    </TimeSeries>
  );
}

// Where points are missing, the line breaks.
function withGaps(frame, view) {
  const { from, to } = view.timeRange;
  const filled = applyNullInsertThreshold({ frame, refFieldPseudoMin: from.valueOf(), refFieldPseudoMax: to.valueOf() });
  filled.fields[0].state = { ...filled.fields[0].state, nullThresholdApplied: true };
  return filled;
}

function values(panel, frames, theme, view) {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    timeZone: view.timeZone,
  });
}

function Figure({ panel, frames, view, width, height }) {
  const theme = useTheme2();
  const [first] = values(panel, frames, theme, view);
  return (
    <BigValue
      value={first.display}
      width={width}
      height={height}
      theme={theme}
      colorMode={panel.options.colorMode}
      graphMode={panel.options.graphMode}
      justifyMode={panel.options.justifyMode}
      textMode={panel.options.textMode}
    />
  );
}

function Bars({ panel, frames, view, width, height }) {
  const theme = useTheme2();
  const { options } = panel;
  return (
    <VizRepeater
      source={frames}
      getValues={() => values(panel, frames, theme, view)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value: { field, display }, width: barWidth, height: barHeight, orientation, alignmentFactors }) => (
        <BarGauge
          value={display}
          field={field}
          width={barWidth}
          height={barHeight}
          orientation={orientation}
          alignmentFactors={alignmentFactors}
          displayMode={options.displayMode}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled}
          itemSpacing={8}
          lcdCellWidth={12}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      minVizWidth={options.minVizWidth}
      minVizHeight={options.minVizHeight}
      maxVizHeight={options.maxVizHeight}
      itemSpacing={8}
      orientation={options.orientation}
    />
  );
}

function Rows({ panel, frames, view, width, height }) {
  return (
    <TableNG
      data={frames[0]}
      structureRev={1}
      width={width}
      height={height}
      noHeader={!panel.options.showHeader}
      initialSortBy={panel.options.sortBy}
      cellHeight={panel.options.cellHeight}
      enablePagination={panel.options.enablePagination}
      timeRange={view.timeRange}
      fieldConfig={panel.fieldConfig}
      getActions={() => []}
      enableVirtualization={false}
    />
  );
}
