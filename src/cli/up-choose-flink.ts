/** Which Flink it is: the one that was asked for, else the best that this machine can have. */
import type { FlinkStart, UpFlink } from './up-flink.ts'
import { startLocalFlink, whyNoLocalFlink } from './up-local-flink.ts'
import type { FlinkChoice } from './up-options.ts'
import { useRemoteFlink } from './up-remote-flink.ts'
import { startSimulatedSample } from './up-simulated-flink.ts'

export async function startFlink(choice: FlinkChoice, start: FlinkStart): Promise<UpFlink> {
  switch (choice.kind) {
    case 'url':
      return useRemoteFlink(choice.url)
    case 'local':
      return startLocalFlink(start)
    case 'simulated':
      return startSimulatedSample(start)
    case 'best': {
      const reason = await whyNoLocalFlink(start)
      if (reason === null) return startLocalFlink(start)
      start.say(`No real Flink here: ${reason}`)
      start.say('Using the built-in SIMULATED Flink instead; its savepoints hold made-up state.')
      return startSimulatedSample(start)
    }
  }
}
