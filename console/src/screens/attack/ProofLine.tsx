import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './AttackPaths.module.css'
import { findingOf, imageOf, nameOf, objectOf, type Link as Target, type Proof } from './model'

function To({ at, children }: { at: Target | undefined; children: ReactNode }) {
  if (!at) return <>{children}</>
  return (
    <Link to={at.to} search={at.search}>
      {children}
    </Link>
  )
}

// ProofLine is one fact: the object, the field and its value, and the finding, CVE and image behind it. What the line before it
// says already is left out.
export function ProofLine({ proof, before }: { proof: Proof; before?: Proof }) {
  const { t } = useTranslation('attack')
  const again = before !== undefined && proof.cve !== undefined && nameOf(proof) === nameOf(before)
  const finding = findingOf(proof)
  return (
    <li className={css.proof}>
      {proof.name && !again && <To at={objectOf(proof)}>{nameOf(proof)}</To>}
      {proof.path && <code>{proof.path}</code>}
      {proof.value && <span className={css.value}>{proof.value}</span>}
      {proof.cve && (
        <Link to="/vulnerabilities/$id" params={{ id: proof.cve }}>
          {proof.cve}
        </Link>
      )}
      {proof.image && !(again && proof.image === before.image) && (
        <span className={css.value}>
          {t('image')} <To at={imageOf(proof)}>{proof.image}</To>
        </span>
      )}
      {finding && <To at={finding}>{t('finding')}</To>}
    </li>
  )
}
