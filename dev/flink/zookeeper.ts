import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type FlinkRuntime, startZooKeeperProcess } from './flink-processes.ts'
import { freePort } from './free-port.ts'
import { type JavaProcess, waitFor } from './java-process.ts'

export interface ZooKeeper {
  readonly process: JavaProcess
  readonly quorum: string
}

export async function startZooKeeper(runtime: FlinkRuntime, dataDir: string): Promise<ZooKeeper> {
  const port = await freePort()
  await mkdir(dataDir, { recursive: true })
  await writeFile(join(runtime.confDir, 'zoo.cfg'), await configuration(dataDir, port))
  const process = await startZooKeeperProcess(runtime)
  await waitFor('ZooKeeper', 30_000, [process], () => accepts(port))
  return { process, quorum: `127.0.0.1:${port}` }
}

async function configuration(dataDir: string, port: number): Promise<string> {
  return `tickTime=1000
dataDir=${dataDir}
clientPort=${port}
clientPortAddress=127.0.0.1
admin.enableServer=false
server.1=127.0.0.1:${await freePort()}:${await freePort()}
`
}

async function accepts(port: number): Promise<true | undefined> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(undefined))
    socket.once('connect', () => socket.destroy())
  })
}
