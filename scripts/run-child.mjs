/** Runs one command to its end with our terminal; whatever signal reaches us reaches it too. Node built-ins only. */
import { spawn } from 'node:child_process'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }

/** Answers the exit code, as a shell would tell it. `watched`: the child learns by a closed channel that we are gone. */
export function runChild(command, args, { watched = false, ...options } = {}) {
  const stdio = watched ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit'
  const child = spawn(command, args, { stdio, ...options })
  const forward = (signal) => child.kill(signal)
  for (const signal of SIGNALS) process.on(signal, forward)
  const watch = watched ? stopWithNpm(child) : undefined
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      for (const each of SIGNALS) process.off(each, forward)
      clearInterval(watch)
      resolve(code ?? 128 + (SIGNAL_NUMBERS[signal] ?? 0))
    })
  })
}

/** npm, or the shell between, may be ended by a signal that it keeps to itself: then we have another parent. */
function stopWithNpm(child) {
  if (process.env.npm_lifecycle_event === undefined) return undefined
  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    child.kill('SIGTERM')
  }, 250)
  watch.unref()
  return watch
}
