/** Asks a child that was started with `--inspect=127.0.0.1:0` what it really keeps: after the garbage has gone. */
import { WebSocket } from 'undici'

export type Heap = {
  /** Bytes of objects and buffers that are alive. */
  read(): Promise<number>
  close(): void
}

type Answer = { id?: number; result?: { result?: { value?: number } }; error?: { message: string } }

export async function openHeap(inspectorUrl: string): Promise<Heap> {
  const socket = new WebSocket(inspectorUrl)
  const waiting = new Map<number, (answer: Answer) => void>()
  let last = 0
  socket.addEventListener('message', ({ data }) => {
    const answer: Answer = JSON.parse(String(data))
    if (answer.id !== undefined) waiting.get(answer.id)?.(answer)
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', () => reject(new Error(`${inspectorUrl} cannot be reached`)))
  })
  const call = (method: string, params: object = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const id = ++last
      waiting.set(id, (answer) => {
        waiting.delete(id)
        if (answer.error) reject(new Error(answer.error.message))
        else resolve(answer)
      })
      socket.send(JSON.stringify({ id, method, params }))
    })
  await call('HeapProfiler.enable')
  return {
    async read() {
      // twice: finalizers of the first run free more
      await call('HeapProfiler.collectGarbage')
      await call('HeapProfiler.collectGarbage')
      const { result } = await call('Runtime.evaluate', {
        expression: '(() => { const m = process.memoryUsage(); return m.heapUsed + m.arrayBuffers })()',
        returnByValue: true,
      })
      return result?.result?.value ?? Number.NaN
    },
    close: () => socket.close(),
  }
}
