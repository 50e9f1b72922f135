import { Alert, Button, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './protection.module.css'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { CodeView } from '../../parts/CodeView'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'

// SelfTest sends a harmless bad pod as a dry run, and shows what the cluster says to it.
export function SelfTest({ target }: { target: string }) {
  const { t } = useTranslation('protection')
  const { number } = useFormat()
  const [namespace, setNamespace] = useState('')
  const test = api.useMutation('post', '/api/v1/protection/{target}/self-test')
  const r = test.data
  return (
    <div className={blocks.stack}>
      <p>{t('selfTest.hint')}</p>
      <div className={blocks.row}>
        <label htmlFor="self-test-namespace">{t('selfTest.namespace')}</label>
        <Input id="self-test-namespace" value={namespace} maxLength={63} placeholder="default" onChange={(e) => setNamespace(e.target.value)} style={{ width: 200 }} />
        <Button type="primary" loading={test.isPending} onClick={() => test.mutate({ params: { path: { target: Number(target) } }, body: { namespace: namespace.trim() || undefined } })}>
          {t('selfTest.run')}
        </Button>
      </div>
      <div aria-live="polite" className={blocks.stack}>
        {test.error ? <Problem error={test.error} title={t('selfTest.failed')} /> : null}
        {r && (
          <>
            <Alert type={r.refused && (r.by === 'stockade' || r.by === 'api-server') ? 'success' : 'warning'} showIcon role="status" title={r.refused ? t('selfTest.refused', { by: t(`selfTest.by.${r.by ?? 'other'}`), time: number(r.millis, { maximumFractionDigits: 1 }) }) : t('selfTest.letIn', { time: number(r.millis, { maximumFractionDigits: 1 }) })} description={r.meaning} />
            {r.message && <pre className={css.said}>{r.message}</pre>}
            {(r.warnings ?? []).length > 0 && <pre className={css.said}>{r.warnings!.map((w) => `Warning: ${w}`).join('\n')}</pre>}
            <details>
              <summary className={blocks.summary}>{t('selfTest.pod')}</summary>
              <CodeView label={t('selfTest.pod')} text={r.pod} height={280} />
            </details>
          </>
        )}
      </div>
    </div>
  )
}
