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
 * Has state under its own uid and changes nothing. A savepoint taken with it cannot be restored
 * without it, unless non-restored state is allowed.
 */
final class ExtraOperator implements MapFunction<Long, Long>, CheckpointedFunction {
  private long seen;
  private transient ListState<Long> state;

  @Override
  public Long map(Long count) {
    seen++;
    return count;
  }

  @Override
  public void initializeState(FunctionInitializationContext context) throws Exception {
    state =
        context.getOperatorStateStore().getListState(new ListStateDescriptor<>("seen", Types.LONG));
    for (long part : state.get()) {
      seen += part;
    }
  }

  @Override
  public void snapshotState(FunctionSnapshotContext context) throws Exception {
    state.update(List.of(seen));
  }
}
