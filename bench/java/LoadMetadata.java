package dev.tidemark.bench;

import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;

/** Reads `_metadata` files with Flink's own reader: a path per line in, operators and nanoseconds per line out. */
public final class LoadMetadata {
    private static final int BUFFER_BYTES = 256 * 1024;

    public static void main(String[] args) throws Exception {
        BufferedReader paths = new BufferedReader(new InputStreamReader(System.in));
        for (String path = paths.readLine(); path != null; path = paths.readLine()) {
            long begun = System.nanoTime();
            int operators = load(Path.of(path)).getOperatorStates().size();
            System.out.println(operators + " " + (System.nanoTime() - begun));
        }
    }

    private static CheckpointMetadata load(Path file) throws Exception {
        try (DataInputStream in =
                new DataInputStream(
                        new BufferedInputStream(Files.newInputStream(file), BUFFER_BYTES))) {
            return Checkpoints.loadCheckpointMetadata(
                    in, LoadMetadata.class.getClassLoader(), file.toUri().toString());
        }
    }
}
