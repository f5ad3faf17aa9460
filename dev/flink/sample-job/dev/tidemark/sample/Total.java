package dev.tidemark.sample;

import java.util.List;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;

/**
 * Counts all events, in state, and obeys the {@link ControlDirectory}.
 *
 * <p>What it reports lets a test tell a restored job from an empty one: the total comes from operator
 * state here, the highest count of a key from the keyed state of {@link KeyedCounter}.
 */
final class Total implements MapFunction<Long, Long>, CheckpointedFunction {
  private static final long REPORT_EVERY_MS = 200;

  private final String controlDir;
  private long total;
  private transient long highestKeyCount;
  private transient long nextReportAtMs;
  private transient long slowEventsMs;
  private transient ControlDirectory control;
  private transient ListState<Long> state;

  Total(String controlDir) {
    this.controlDir = controlDir;
  }

  @Override
  public void initializeState(FunctionInitializationContext context) throws Exception {
    control = new ControlDirectory(controlDir);
    state =
        context.getOperatorStateStore().getListState(new ListStateDescriptor<>("total", Types.LONG));
    for (long part : state.get()) {
      total += part;
    }
    control.reportRestored(context.isRestored() ? Long.toString(total) : null);
  }

  @Override
  public Long map(Long keyCount) throws Exception {
    total++;
    highestKeyCount = Math.max(highestKeyCount, keyCount);
    long nowMs = System.currentTimeMillis();
    if (nowMs >= nextReportAtMs) {
      nextReportAtMs = nowMs + REPORT_EVERY_MS;
      control.reportCounter(total, highestKeyCount);
      slowEventsMs = control.slowEventsMs();
    }
    if (slowEventsMs > 0) {
      Thread.sleep(slowEventsMs);
    }
    return total;
  }

  @Override
  public void snapshotState(FunctionSnapshotContext context) throws Exception {
    control.beforeSnapshot();
    state.update(List.of(total));
  }
}
