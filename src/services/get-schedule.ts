import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findSchedule, type SchedulePorts, showSchedule } from './schedule-input.ts'

export const getSchedule =
  (ports: SchedulePorts): Services['getSchedule'] =>
  async ({ caller, job }) =>
    showSchedule(await findSchedule(ports, scopeOf(caller), job))
