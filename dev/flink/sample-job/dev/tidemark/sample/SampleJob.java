package dev.tidemark.sample;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * A small stateful job whose snapshots can be made slow or failing while it runs.
 *
 * <p>Every operator has a uid: they are what its savepoints are read and compared by. The source uses
 * only what Flink 1.20 and 2.x have in common, so one tree compiles against both.
 */
public final class SampleJob {
  public static void main(String[] args) throws Exception {
    Arguments arguments = Arguments.parse(args);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    if (arguments.maxParallelism > 0) {
      env.setMaxParallelism(arguments.maxParallelism);
    }
    if (!arguments.parameters.isEmpty()) {
      env.getConfig().setGlobalJobParameters(Configuration.fromMap(arguments.parameters));
    }
    build(env, arguments);
    env.execute(arguments.name);
  }

  private static void build(StreamExecutionEnvironment env, Arguments arguments) {
    long keys = arguments.keys;
    DataStream<Long> events =
        env.fromSource(events(arguments.rate), WatermarkStrategy.noWatermarks(), "Events")
            .uid("events")
            .keyBy(number -> number % keys, Types.LONG)
            .process(new KeyedCounter(arguments.bytesPerKey))
            .uid("keyed-counter")
            .name("Keyed counter");
    if (arguments.extraOperator) {
      events = events.map(new ExtraOperator()).uid("extra-operator").name("Extra operator");
    }
    events
        .map(new Total(arguments.controlDir))
        .uid("total")
        .name("Total")
        .setParallelism(1) // one number to watch, whatever the job's parallelism
        .sinkTo(new DiscardingSink<>())
        .uid("sink")
        .name("Sink")
        .setParallelism(1);
  }

  private static DataGeneratorSource<Long> events(double perSecond) {
    return new DataGeneratorSource<>(
        number -> number, Long.MAX_VALUE, RateLimiterStrategy.perSecond(perSecond), Types.LONG);
  }

  private SampleJob() {}
}
