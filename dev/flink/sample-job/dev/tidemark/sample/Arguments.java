package dev.tidemark.sample;

import java.util.LinkedHashMap;
import java.util.Map;

/** The command line of {@link SampleJob}. Flink's own parser changed package in 2.0, so it is not used. */
final class Arguments {
  String name = "tidemark-sample";
  double rate = 100;
  long keys = 100;
  int bytesPerKey = 64;
  int maxParallelism = 0;
  String controlDir = null;
  boolean extraOperator = false;

  /** Shown by Flink as the job's user configuration; how a job declares its `tidemark.version`. */
  final Map<String, String> parameters = new LinkedHashMap<>();

  static Arguments parse(String[] args) {
    Arguments parsed = new Arguments();
    for (int i = 0; i < args.length; i++) {
      if (args[i].equals("--extra-operator")) {
        parsed.extraOperator = true;
        continue;
      }
      if (i + 1 == args.length) {
        throw new IllegalArgumentException(args[i] + " needs a value");
      }
      parsed.set(args[i], args[++i]);
    }
    return parsed;
  }

  private void set(String option, String value) {
    switch (option) {
      case "--name":
        name = value;
        break;
      case "--rate":
        rate = Double.parseDouble(value);
        break;
      case "--keys":
        keys = Long.parseLong(value);
        break;
      case "--bytes-per-key":
        bytesPerKey = Integer.parseInt(value);
        break;
      case "--max-parallelism":
        maxParallelism = Integer.parseInt(value);
        break;
      case "--control-dir":
        controlDir = value;
        break;
      case "--parameter":
        addParameter(value);
        break;
      default:
        throw new IllegalArgumentException("Unknown option " + option);
    }
  }

  private void addParameter(String pair) {
    int equals = pair.indexOf('=');
    if (equals < 1) {
      throw new IllegalArgumentException("--parameter " + pair + " is not like key=value");
    }
    parameters.put(pair.substring(0, equals), pair.substring(equals + 1));
  }
}
