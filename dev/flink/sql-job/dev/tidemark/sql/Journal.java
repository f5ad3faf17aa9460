package dev.tidemark.sql;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;

/**
 * Appends each new count to `changes`, as `+I key count` when SQL had no row of this key and `+U key count`
 * when it had one: a key whose state has expired begins with `+I` once more.
 */
final class Journal implements MapFunction<Row, Long> {
  private final String controlDir;

  Journal(String controlDir) {
    this.controlDir = controlDir;
  }

  @Override
  public Long map(Row row) throws IOException {
    long count = (Long) row.getField("n");
    if (row.getKind() != RowKind.UPDATE_BEFORE) {
      String line = row.getKind().shortString() + " " + row.getField("k") + " " + count + "\n";
      Files.writeString(
          Files.createDirectories(Path.of(controlDir)).resolve("changes"),
          line,
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
    }
    return count;
  }
}
