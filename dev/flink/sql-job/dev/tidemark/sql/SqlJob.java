package dev.tidemark.sql;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;

/**
 * Counts events per key in SQL, over keys that go quiet: each comes in a burst of one second and then not
 * again before every other key had its own. What it counted stands in `changes` of the control directory.
 *
 * <p>It sets no time to live of its state: `table.exec.state.ttl` can only come from the configuration
 * the job is started with, which `StreamTableEnvironment.create` takes from the environment.
 */
public final class SqlJob {
  private static final int EVENTS_PER_SECOND = 40;
  private static final int BURST = EVENTS_PER_SECOND;
  private static final int KEYS = 6;

  public static void main(String[] args) throws Exception {
    Map<String, String> options = parse(args);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    StreamTableEnvironment tables = StreamTableEnvironment.create(env);
    DataStream<Long> events =
        env.fromSource(burstsOfKeys(), WatermarkStrategy.noWatermarks(), "Events")
            .uid("events")
            .setParallelism(1); // several would each begin elsewhere in the sequence
    tables.createTemporaryView("events", tables.fromDataStream(events).as("k"));
    Table counts = tables.sqlQuery("SELECT k, COUNT(*) AS n FROM events GROUP BY k");
    tables
        .toChangelogStream(counts)
        .map(new Journal(options.get("--control-dir")))
        .returns(Types.LONG)
        .uid("journal")
        .name("Journal")
        .setParallelism(1) // one file
        .sinkTo(new DiscardingSink<>())
        .uid("sink")
        .name("Sink")
        .setParallelism(1);
    env.execute(options.getOrDefault("--name", "tidemark-sql"));
  }

  private static DataGeneratorSource<Long> burstsOfKeys() {
    return new DataGeneratorSource<>(
        number -> number / BURST % KEYS,
        Long.MAX_VALUE,
        RateLimiterStrategy.perSecond(EVENTS_PER_SECOND),
        Types.LONG);
  }

  private static Map<String, String> parse(String[] args) {
    Map<String, String> options = new LinkedHashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) {
      options.put(args[i], args[i + 1]);
    }
    if (args.length % 2 != 0 || !options.containsKey("--control-dir")) {
      throw new IllegalArgumentException("Usage: --control-dir <directory> [--name <name>]");
    }
    return options;
  }

  private SqlJob() {}
}
