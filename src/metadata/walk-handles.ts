import type {
  ChannelHandle,
  KeyedHandle,
  OperatorHandle,
  OperatorState,
  SnapshotMetadata,
  StreamHandle,
} from './model.ts'

/** What a stream of bytes holds. */
export type StateRole =
  | 'coordinator'
  | 'managedOperator'
  | 'rawOperator'
  | 'managedKeyed'
  | 'rawKeyed'
  | 'inputChannel'
  | 'resultSubpartition'
/** Of incremental and changelog state, also which part of it. */
export type StatePart = 'whole' | 'incrementalMeta' | 'incrementalShared' | 'incrementalPrivate' | 'changelog'

export type HandlePlace = { operator: OperatorState; role: StateRole; part: StatePart }

/** Called for each handle, an outer one before those inside it. */
export type HandleVisitor = {
  stream?: (handle: StreamHandle, place: HandlePlace) => void
  keyed?: (handle: KeyedHandle, place: HandlePlace) => void
  operator?: (handle: OperatorHandle, place: HandlePlace) => void
  channel?: (handle: ChannelHandle, place: HandlePlace) => void
}

export function walkHandles(metadata: SnapshotMetadata, visitor: HandleVisitor): void {
  for (const operator of metadata.operatorStates) walkOperator(operator, visitor)
}

function walkOperator(operator: OperatorState, visitor: HandleVisitor): void {
  const at = (role: StateRole): HandlePlace => ({ operator, role, part: 'whole' })
  const places = {
    managedOperator: at('managedOperator'),
    rawOperator: at('rawOperator'),
    managedKeyed: at('managedKeyed'),
    rawKeyed: at('rawKeyed'),
    inputChannels: at('inputChannel'),
    resultSubpartitions: at('resultSubpartition'),
  }
  if (operator.coordinatorState) walkStream(operator.coordinatorState, at('coordinator'), visitor)
  for (const subtask of operator.subtasks) {
    if (subtask.finished) continue
    for (const slot of ['managedOperator', 'rawOperator'] as const)
      walkOperatorHandle(subtask[slot], places[slot], visitor)
    for (const slot of ['managedKeyed', 'rawKeyed'] as const) walkKeyed(subtask[slot], places[slot], visitor)
    for (const slot of ['inputChannels', 'resultSubpartitions'] as const) {
      for (const handle of subtask[slot]) walkChannel(handle, places[slot], visitor)
    }
  }
}

function walkStream(handle: StreamHandle, place: HandlePlace, visitor: HandleVisitor): void {
  visitor.stream?.(handle, place)
  if (handle.kind === 'keyGroups') walkStream(handle.delegate, place, visitor)
}

function walkOperatorHandle(handle: OperatorHandle | null, place: HandlePlace, visitor: HandleVisitor): void {
  if (handle === null) return
  visitor.operator?.(handle, place)
  walkStream(handle.delegate, place, visitor)
}

function walkChannel(handle: ChannelHandle, place: HandlePlace, visitor: HandleVisitor): void {
  visitor.channel?.(handle, place)
  walkStream(handle.delegate, place, visitor)
}

function walkKeyed(handle: KeyedHandle | null, place: HandlePlace, visitor: HandleVisitor): void {
  if (handle === null) return
  visitor.keyed?.(handle, place)
  for (const [part, stream] of streamsOf(handle))
    walkStream(stream, { ...place, part: part ?? place.part }, visitor)
  if (handle.kind !== 'changelog' && handle.kind !== 'changelogV2') return
  for (const inner of handle.materialized) walkKeyed(inner, place, visitor)
  for (const inner of handle.nonMaterialized) walkKeyed(inner, { ...place, part: 'changelog' }, visitor)
}

function* streamsOf(handle: KeyedHandle): Iterable<[StatePart | null, StreamHandle]> {
  switch (handle.kind) {
    case 'keyGroups':
    case 'savepointKeyGroups':
    case 'keyGroupsV2':
      yield [null, handle.delegate]
      break
    case 'incremental':
    case 'incrementalV2':
      yield ['incrementalMeta', handle.meta]
      for (const file of handle.shared) yield ['incrementalShared', file.handle]
      for (const file of handle.private) yield ['incrementalPrivate', file.handle]
      break
    case 'changelogFile':
    case 'changelogFileV2':
      for (const stream of handle.streams) yield ['changelog', stream.handle]
      break
    default: // a changelog, or changes in memory: no stream of their own
  }
}
