package dev.tidemark.sample;

import java.util.Random;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Counts per key and keeps a payload beside each count, which sets the size of the state. Emits the count. */
final class KeyedCounter extends KeyedProcessFunction<Long, Long, Long> {
  private final int bytesPerKey;
  private transient ValueState<Long> count;
  private transient ValueState<byte[]> payload;

  KeyedCounter(int bytesPerKey) {
    this.bytesPerKey = bytesPerKey;
  }

  @Override
  public void open(OpenContext context) {
    count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
    payload =
        getRuntimeContext()
            .getState(
                new ValueStateDescriptor<>(
                    "payload", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
  }

  @Override
  public void processElement(Long number, Context context, Collector<Long> out) throws Exception {
    Long before = count.value();
    long now = before == null ? 1 : before + 1;
    count.update(now);
    if (before == null && bytesPerKey > 0) {
      payload.update(incompressible(context.getCurrentKey()));
    }
    out.collect(now);
  }

  /** RocksDB compresses its files: only random bytes make a snapshot as large as was asked for. */
  private byte[] incompressible(long key) {
    byte[] bytes = new byte[bytesPerKey];
    new Random(key).nextBytes(bytes);
    return bytes;
  }
}
