import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { readSettings } from './settings.ts'

type Tool = 'java' | 'javac' | 'jar' | 'mvn'

const OLDEST_JDK = 11

/** The command of a JDK or Maven: JAVA_HOME first, as Flink's own scripts do, then PATH. */
export async function findTool(tool: Tool): Promise<string | undefined> {
  const { javaHome, searchPath } = readSettings()
  const dirs = javaHome === undefined || tool === 'mvn' ? searchPath : [join(javaHome, 'bin'), ...searchPath]
  for (const dir of dirs) {
    const command = join(dir, tool)
    if (await isExecutable(command)) return command
  }
  return undefined
}

export async function needTool(tool: Tool): Promise<string> {
  const command = await findTool(tool)
  if (command === undefined) throw new Error(tool === 'mvn' ? NO_MAVEN : NO_JDK)
  return command
}

/** Why there is no usable JDK, or undefined. Asks javac: a bare JRE cannot compile the sample job. */
export async function whyNoJdk(): Promise<string | undefined> {
  const javac = await findTool('javac')
  if (javac === undefined) return NO_JDK
  const version = await runTool(javac, ['-version']).catch(() => '')
  const major = Number(/javac (\d+)/.exec(version)?.[1] ?? 0)
  return major >= OLDEST_JDK ? undefined : `${NO_JDK.slice(0, -1)}, and ${javac} is not that.`
}

export async function whyNoMaven(): Promise<string | undefined> {
  return (await findTool('mvn')) === undefined ? NO_MAVEN : undefined
}

const NO_JDK = `A real Flink needs a JDK ${OLDEST_JDK} or newer (javac on the PATH or in JAVA_HOME).`
const NO_MAVEN = 'Fetching Flink needs Maven (mvn on the PATH), or set FLINK_HOME to a distribution.'

/** Runs to the end and answers all output; a failure's message is the output's first error line. */
export async function runTool(command: string, args: readonly string[]): Promise<string> {
  const running = promisify(execFile)(command, [...args], { maxBuffer: 16 * 1024 * 1024 })
  const endWithUs = () => running.child.kill()
  process.once('exit', endWithUs)
  try {
    const { stdout, stderr } = await running
    return stdout + stderr
  } catch (cause) {
    throw new Error(`${command} failed: ${firstErrorLine(cause)}`, { cause })
  } finally {
    process.off('exit', endWithUs)
  }
}

function firstErrorLine(failure: unknown): string {
  const { stdout = '', stderr = '', message = '' } = failure as Record<string, string | undefined>
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '')
  const line = lines.find((text) => /error/i.test(text)) ?? lines[0] ?? message
  return stripVTControlCharacters(line).slice(0, 500)
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}
