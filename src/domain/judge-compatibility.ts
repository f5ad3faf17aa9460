/**
 * Whether a version could be started from a snapshot, from what `_metadata` says and what is known of the version. Pure.
 *
 * Nothing is claimed beyond that knowledge: what cannot be seen is a finding of its own, and one that could stop the job makes
 * the verdict UNKNOWN. Flink's rules were read in RT/checkpoint `Checkpoints.loadAndValidateCheckpoint` and
 * `StateAssignmentOperation` of 1.20.4 and 2.3.0, and tried on both (`test/e2e/suite-compatibility.ts`).
 */
import {
  COMPATIBILITY_SEVERITIES,
  type Compatibility,
  type CompatibilityCode,
  type CompatibilityFinding,
  type CompatibilityQuestion,
  type CompatibilitySeverity,
  type CompatibilityVerdict,
} from './compatibility.ts'
import { findBackendFindings } from './compatibility-backend.ts'
import { findOperatorFindings } from './compatibility-operators.ts'
import { findParallelismFindings } from './compatibility-parallelism.ts'
import { findReleaseFindings } from './compatibility-release.ts'

/** A job may have thousands of operators that all tell the same. */
const FINDINGS_PER_CODE = 20

export function judgeCompatibility(question: CompatibilityQuestion): Compatibility {
  return concludeCompatibility([
    ...findReleaseFindings(question),
    ...findOperatorFindings(question),
    ...findParallelismFindings(question),
    ...findBackendFindings(question),
  ])
}

export function concludeCompatibility(findings: readonly CompatibilityFinding[]): Compatibility {
  const order = findings.toSorted(
    (one, other) =>
      COMPATIBILITY_SEVERITIES.indexOf(one.severity) - COMPATIBILITY_SEVERITIES.indexOf(other.severity),
  )
  return { verdict: verdictOf(findings), findings: shorten(order) }
}

const VERDICT_OF: Record<CompatibilitySeverity, CompatibilityVerdict> = {
  BLOCKS: 'INCOMPATIBLE',
  UNKNOWN: 'UNKNOWN',
  DROPS_STATE: 'PARTLY',
  WARNS: 'COMPATIBLE',
  NOTE: 'COMPATIBLE',
}

/** The worst finding decides. Where some state would be dropped and something else is not known, nobody can promise PARTLY. */
function verdictOf(findings: readonly CompatibilityFinding[]): CompatibilityVerdict {
  const worst = COMPATIBILITY_SEVERITIES.find((severity) => findings.some((one) => one.severity === severity))
  return worst === undefined ? 'COMPATIBLE' : VERDICT_OF[worst]
}

function shorten(findings: readonly CompatibilityFinding[]): CompatibilityFinding[] {
  const seen = new Map<CompatibilityCode, number>()
  const shown: CompatibilityFinding[] = []
  const cut = new Map<CompatibilityCode, CompatibilityFinding[]>()
  for (const finding of findings) {
    const count = seen.get(finding.code) ?? 0
    seen.set(finding.code, count + 1)
    if (count < FINDINGS_PER_CODE) shown.push(finding)
    else cut.set(finding.code, [...(cut.get(finding.code) ?? []), finding])
  }
  const more = [...cut].map(
    ([code, { length }]): CompatibilityFinding => ({
      code: 'MORE',
      severity: 'NOTE',
      operator: null,
      message: `${length} more findings ${code}, which are not shown.`,
      act: null,
    }),
  )
  return [...shown, ...more]
}
