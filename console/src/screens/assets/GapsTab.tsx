import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { codes, codesOf, GapTable } from './GapTable'
import { Choice } from '../../parts/Choice'
import { listOf, useUrl } from '../../parts/search'

// GapsTab is what was not scanned of one cluster.
export default function GapsTab({ id }: { id: string }) {
  const { t } = useTranslation('assets')
  const { t: word } = useTranslation('words')
  const [url, setUrl] = useUrl()
  const chosen = codesOf(listOf(url.code))
  return (
    <div className={css.stack}>
      <p className={css.soft}>{t('gapsLead')}</p>
      <div className={css.filters} role="search">
        <Choice label={t('columns.code')} value={chosen} options={codes.map((c) => ({ value: c, label: word(`gap.${c}`) }))} onChange={(code) => setUrl({ code })} width={320} />
      </div>
      <GapTable target={[Number(id)]} code={chosen} height="calc(100vh - 380px)" />
    </div>
  )
}
