package dev.tidemark.sample;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * How a test talks with the running job: it leaves `slow-ms`, `slow-events-ms` or `fail` here, the job
 * leaves `counter`, `highest-key-count` and `restored`. Without a directory everything does nothing.
 */
final class ControlDirectory {
  private static final long LOOK_EVERY_MS = 50;

  private final Path directory;

  ControlDirectory(String directory) throws IOException {
    this.directory = directory == null ? null : Files.createDirectories(Path.of(directory));
  }

  /** Waits while `slow-ms` is there, at most as long as it says; then throws the text of `fail`. */
  void beforeSnapshot() throws Exception {
    String slowMs = read("slow-ms");
    if (slowMs != null) {
      waitAtMost(Long.parseLong(slowMs));
    }
    String failure = read("fail");
    if (failure != null) {
      throw new RuntimeException(failure);
    }
  }

  /** How long an event takes; 0 without `slow-events-ms`. */
  long slowEventsMs() throws IOException {
    String slowMs = read("slow-events-ms");
    return slowMs == null ? 0 : Long.parseLong(slowMs);
  }

  /** Removing the file lets a waiting snapshot go on at once, so no test sleeps longer than it must. */
  private void waitAtMost(long ms) throws Exception {
    long untilMs = System.currentTimeMillis() + ms;
    while (System.currentTimeMillis() < untilMs && read("slow-ms") != null) {
      Thread.sleep(Math.min(LOOK_EVERY_MS, ms));
    }
  }

  void reportCounter(long total, long highestKeyCount) throws IOException {
    write("highest-key-count", Long.toString(highestKeyCount));
    write("counter", Long.toString(total));
  }

  /** The total this run began with; no file when it began empty. */
  void reportRestored(String total) throws IOException {
    if (directory == null) {
      return;
    }
    if (total == null) {
      Files.deleteIfExists(directory.resolve("restored"));
    } else {
      write("restored", total);
    }
  }

  private String read(String name) throws IOException {
    if (directory == null) {
      return null;
    }
    try {
      return Files.readString(directory.resolve(name)).trim();
    } catch (NoSuchFileException absent) {
      return null;
    }
  }

  /** By rename: whoever reads the file never sees half a number. */
  private void write(String name, String value) throws IOException {
    if (directory == null) {
      return;
    }
    Path temporary = Files.writeString(directory.resolve("." + name), value);
    Files.move(temporary, directory.resolve(name), StandardCopyOption.ATOMIC_MOVE);
  }
}
