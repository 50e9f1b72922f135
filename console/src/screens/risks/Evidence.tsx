import { useTranslation } from 'react-i18next'

import type { Schemas } from '../../api/client'
import { EvidenceView } from '../../parts/EvidenceView'
import { FixView } from '../../parts/FixView'

type Props = { finding: Schemas['FindingFull']; H: 'h2' | 'h3' }

// Evidence shows the faulty object, and what to do about it.
export function Evidence({ finding: f, H }: Props) {
  const { t } = useTranslation('risks')
  return (
    <>
      <section>
        <H>{t('evidence')}</H>
        <EvidenceView findingId={f.id} />
      </section>
      <section>
        <H>{t('fix')}</H>
        <FixView findingId={f.id} />
      </section>
    </>
  )
}
