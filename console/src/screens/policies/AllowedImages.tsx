import { Button, Input, Radio } from 'antd'
import { useTranslation } from 'react-i18next'

import { Keys } from './CheckFields'
import type { Draft, Fault } from './draft'
import css from './policies.module.css'
import { dayOf, fromDay } from './rollout'
import type { AllowedImage } from './shapes'
import blocks from '../../parts/Blocks.module.css'

type How = 'digest' | 'tag' | 'keys'

const howOf = (a: AllowedImage): How => (a.tag !== undefined ? 'tag' : a.keys !== undefined ? 'keys' : 'digest')

type Props = { draft: Draft; change: (d: Draft) => void; faults: Fault[] }

// AllowedImages are let in without a look: by digest, by a tag as it stands now, or by who signed.
export function AllowedImages({ draft, change, faults }: Props) {
  const { t } = useTranslation('policies')
  const list = draft.allowedImages ?? []
  const set = (allowedImages: AllowedImage[]) => change({ ...draft, allowedImages })
  const put = (i: number, a: Partial<AllowedImage>) => set(list.map((x, k) => (k === i ? { ...x, ...a } : x)))
  const as = (i: number, how: How) => {
    const { repository, reason, expires } = list[i]!
    set(list.map((x, k) => (k === i ? { repository, reason, expires, ...(how === 'digest' ? { digest: '' } : how === 'tag' ? { tag: '' } : { keys: [{ name: '', pem: '' }] }) } : x)))
  }
  return (
    <fieldset className={blocks.group}>
      <legend>{t('allowed.title')}</legend>
      <span className={blocks.hint}>{t('allowed.hint')}</span>
      {list.map((a, i) => {
        const how = howOf(a)
        const id = `allowed-${i}`
        return (
          <section key={i} className={css.box} aria-label={t('allowed.one', { number: i + 1 })}>
            <div className={blocks.between}>
              <Radio.Group value={how} onChange={(e) => as(i, e.target.value as How)} aria-label={t('allowed.by')}>
                <Radio value="digest">{t('allowed.digest')}</Radio>
                <Radio value="tag">{t('allowed.tag')}</Radio>
                <Radio value="keys">{t('allowed.keys')}</Radio>
              </Radio.Group>
              <Button size="small" onClick={() => set(list.filter((_, k) => k !== i))}>
                {t('remove')}
              </Button>
            </div>
            <div className={blocks.fields}>
              {how !== 'digest' && (
                <div className={blocks.field}>
                  <label htmlFor={`${id}-repository`}>{t('allowed.repository')}</label>
                  <Input id={`${id}-repository`} value={a.repository ?? ''} maxLength={500} placeholder="registry.example.com/shop/*" onChange={(e) => put(i, { repository: e.target.value })} />
                </div>
              )}
              {how === 'digest' && (
                <div className={blocks.field}>
                  <label htmlFor={`${id}-digest`}>{t('allowed.digest')}</label>
                  <Input id={`${id}-digest`} value={a.digest ?? ''} maxLength={100} placeholder="sha256:…" onChange={(e) => put(i, { digest: e.target.value.trim() })} />
                </div>
              )}
              {how === 'tag' && (
                <div className={blocks.field}>
                  <label htmlFor={`${id}-tag`}>{t('allowed.tag')}</label>
                  <Input id={`${id}-tag`} value={a.tag ?? ''} maxLength={200} onChange={(e) => put(i, { tag: e.target.value.trim() })} />
                  <span className={blocks.hint}>{a.resolvedDigest ? t('allowed.resolved', { digest: a.resolvedDigest }) : t('allowed.willResolve')}</span>
                </div>
              )}
              <div className={blocks.field}>
                <label htmlFor={`${id}-reason`}>{t('allowed.reason')}</label>
                <Input id={`${id}-reason`} value={a.reason ?? ''} maxLength={2000} onChange={(e) => put(i, { reason: e.target.value })} />
              </div>
              <div className={blocks.field}>
                <label htmlFor={`${id}-until`}>{t('allowed.until')}</label>
                <Input id={`${id}-until`} type="date" value={dayOf(a.expires)} onChange={(e) => put(i, { expires: fromDay(e.target.value) })} />
              </div>
            </div>
            {how === 'keys' && <Keys id={id} keys={a.keys ?? []} change={(keys) => put(i, { keys })} />}
            {faults.some((f) => f.step === 'images' && f.code === 'allowed' && f.at === i) && (
              <span role="alert" className={blocks.fault}>
                {t('fault.allowed')}
              </span>
            )}
          </section>
        )
      })}
      <Button style={{ alignSelf: 'start' }} onClick={() => set([...list, { digest: '' }])}>
        {t('allowed.add')}
      </Button>
    </fieldset>
  )
}
