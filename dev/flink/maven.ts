import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needTool, runTool } from './tools.ts'

const QUIETLY = ['--batch-mode', '--quiet', '--no-transfer-progress']

/** Copies the artifacts (`group:name:version`) and everything they need at run time. */
export async function copyWithDependencies(artifacts: readonly string[], outputDir: string): Promise<void> {
  const mvn = await needTool('mvn')
  const dir = await mkdtemp(join(tmpdir(), 'tidemark-pom-'))
  try {
    const pom = join(dir, 'pom.xml')
    await writeFile(pom, pomOf(artifacts))
    const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${outputDir}`]
    await runTool(mvn, [...QUIETLY, '--file', pom, ...goal])
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Copies one artifact (`group:name:version[:packaging[:classifier]]`) alone. */
export async function copyArtifact(artifact: string, outputDir: string): Promise<void> {
  const mvn = await needTool('mvn')
  await runTool(mvn, [
    ...QUIETLY,
    'dependency:copy',
    `-Dartifact=${artifact}`,
    `-DoutputDirectory=${outputDir}`,
  ])
}

function pomOf(artifacts: readonly string[]): string {
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.tidemark</groupId><artifactId>flink</artifactId><version>1</version>
  <dependencies>
${artifacts.map(dependencyOf).join('\n')}
  </dependencies>
</project>
`
}

function dependencyOf(artifact: string): string {
  const [group, name, version] = artifact.split(':')
  return `    <dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`
}
