package dev.tidemark.application;

import java.io.File;
import java.util.Arrays;
import org.apache.flink.client.deployment.application.ApplicationClusterEntryPoint;
import org.apache.flink.client.program.PackagedProgram;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.entrypoint.EntrypointClusterConfiguration;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.resourcemanager.StandaloneResourceManagerFactory;

/**
 * The JobManager of one job: {@code --configDir <dir> <job.jar> [job argument]...}
 *
 * <p>The container image's entry point does this too, but is not on Maven Central.
 */
public final class EntryPoint extends ApplicationClusterEntryPoint {
  private EntryPoint(Configuration configuration, PackagedProgram program) {
    super(configuration, program, StandaloneResourceManagerFactory.getInstance());
  }

  public static void main(String[] args) throws Exception {
    EntrypointClusterConfiguration commandLine = parseArguments(args);
    Configuration configuration = loadConfiguration(commandLine);
    PackagedProgram program = load(commandLine.getArgs(), configuration);
    configureExecution(configuration, program);
    runClusterEntrypoint(new EntryPoint(configuration, program));
  }

  private static PackagedProgram load(String[] jarAndArguments, Configuration configuration)
      throws Exception {
    return PackagedProgram.newBuilder()
        .setJarFile(new File(jarAndArguments[0]))
        .setArguments(Arrays.copyOfRange(jarAndArguments, 1, jarAndArguments.length))
        .setConfiguration(configuration)
        .setSavepointRestoreSettings(SavepointRestoreSettings.fromConfiguration(configuration))
        .build();
  }
}
