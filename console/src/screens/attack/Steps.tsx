import { useTranslation } from 'react-i18next'

import css from './AttackPaths.module.css'
import { stepsOf, type Body, type Path } from './model'
import { ProofLine } from './ProofLine'

// Steps tells a path step by step, each with the objects that prove it.
export function Steps({ body, path }: { body: Body; path: Path }) {
  const { t } = useTranslation('attack')
  return (
    <ol className={css.steps} aria-label={t('steps')}>
      {stepsOf(body, path).map(({ edge, to }) => (
        <li key={edge.id} className={css.step}>
          <div>
            <span className={css.stepKind}>{t(`step.${edge.kind}`)}</span> {edge.title}
          </div>
          {to && (
            <div className={css.reached}>
              → {t(`kind.${to.kind}`)}: <strong>{to.label}</strong>
              {to.namespace && ` (${to.namespace})`}
            </div>
          )}
          <ul className={css.proofs} aria-label={t('proof')}>
            {edge.proof.map((p, i) => (
              <ProofLine key={i} proof={p} before={edge.proof[i - 1]} />
            ))}
            {(edge.more ?? 0) > 0 && <li className={css.soft}>{t('moreProof', { count: edge.more })}</li>}
          </ul>
        </li>
      ))}
    </ol>
  )
}
