/** The end-to-end suite of savepoints, the same on every Flink and every storage: HTTP in, Flink and the store as witnesses. */
import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import type { OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import { openScene, type Scene } from './scene.ts'
import { describeFailures } from './suite-failures.ts'
import { describeOnce } from './suite-once.ts'
import { describeOutages } from './suite-outages.ts'
import { describeTaking } from './suite-taking.ts'

export function describeSavepoints(name: string, openFlink: OpenFlink, storageKind: StorageKind): void {
  describe(name, () => {
    let scene: Scene
    beforeAll(async () => {
      scene = await openScene(`e2e-${storageKind}`, openFlink, storageKind)
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-6_000))
      await scene.endJobs()
    })
    afterAll(() => scene?.close())

    const use = () => scene
    describeTaking(use)
    describeFailures(use, storageKind)
    describeOnce(use)
    describeOutages(use)
  })
}
