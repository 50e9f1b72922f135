import { Input } from 'antd'
import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { bodyOf, type Draft } from './draft'
import { DiffOf } from './DiffOf'
import { scopeWords } from './scopeWords'
import type { Kept } from './shapes'
import { Timeline } from './Timeline'
import { useClusters } from './useClusters'
import { toYaml } from './yaml'
import blocks from '../../parts/Blocks.module.css'
import { CodeView } from '../../parts/CodeView'
import { Facts } from '../../parts/Facts'
import { useFormat } from '../../text/format'

type Props = { draft: Draft; saved?: Kept; note: string; setNote: (n: string) => void }

// ReviewStep says once more what will be saved, and what it changes.
export function ReviewStep({ draft, saved, note, setNote }: Props) {
  const { t } = useTranslation('policies')
  const { list, number } = useFormat()
  const clusters = useClusters()
  const body = bodyOf(draft)
  return (
    <div className={blocks.stack}>
      <Facts
        items={[
          [t('name'), draft.name || '–'],
          [t('col.scope'), scopeWords(draft.scope, t, list, clusters.name).join(' · ')],
          [t('actionOf'), <ActionTag key="a" action={draft.action} />],
          [t('step.rollout'), <Timeline key="t" policy={draft} />],
          [t('col.rules'), number(draft.rules?.length ?? 0)],
          [t('col.checks'), list((draft.checks ?? []).map((c) => t(`check.${c.check}`))) || number(0)],
          (draft.templates?.length ?? 0) > 0 && [t('template.own'), list(draft.templates!.map((x) => x.template))],
        ]}
      />
      <div className={blocks.field}>
        <label htmlFor="policy-note">{t('note')}</label>
        <Input.TextArea id="policy-note" value={note} maxLength={2000} autoSize={{ minRows: 2, maxRows: 5 }} placeholder={t('noteHint')} onChange={(e) => setNote(e.target.value)} />
      </div>
      {saved && <DiffOf label={t('changesOf', { version: saved.version ?? 0 })} before={saved} after={body} />}
      <details open={!saved}>
        <summary className={blocks.summary}>{t('asFile')}</summary>
        <CodeView label={t('asFile')} text={toYaml(body)} height={360} />
      </details>
      <p className={blocks.hint}>{t('inForceSoon')}</p>
    </div>
  )
}
