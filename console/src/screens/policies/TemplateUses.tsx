import { Link } from '@tanstack/react-router'
import { Button, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import { ActionSelect } from './ActionSelect'
import type { Draft } from './draft'
import { ParamFields } from './ParamFields'
import { standardOf, type Params } from './params'
import css from './policies.module.css'
import type { TemplateUse } from './shapes'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'

type Props = { draft: Draft; change: (d: Draft) => void }

// narrow reports whether the scope names images: own templates are asked for all of them all the same.
function narrow({ scope: s }: Draft): boolean {
  return !!s && [s.images, s.excludedImages].some((list) => (list?.length ?? 0) > 0)
}

// TemplateUses are the user's own ConstraintTemplates in a policy.
export function TemplateUses({ draft, change }: Props) {
  const { t } = useTranslation('policies')
  const kept = api.useQuery('get', '/api/v1/policy-templates', undefined, { staleTime: 60_000 })
  const uses = draft.templates ?? []
  const set = (templates: TemplateUse[]) => change({ ...draft, templates })
  const free = (kept.data?.items ?? []).filter((k) => !uses.some((u) => u.template === k.name))
  const known = (name: string) => (kept.data?.items ?? []).find((k) => k.name === name)
  const put = (i: number, c: Partial<TemplateUse>) => set(uses.map((u, k) => (k === i ? { ...u, ...c } : u)))
  return (
    <fieldset className={blocks.group}>
      <legend>{t('template.own')}</legend>
      {uses.map((u, i) => (
        <div key={u.template} className={css.box}>
          <div className={blocks.between}>
            <Link to="/protection/templates/$name" params={{ name: u.template }}>
              <strong>{u.template}</strong>
            </Link>
            <span className={blocks.row}>
              <ActionSelect label={t('rule.actionOf', { title: u.template })} value={u.action} policy={draft.action} change={(action) => put(i, { action })} />
              <Button size="small" onClick={() => set(uses.filter((_, k) => k !== i))}>
                {t('remove')}
              </Button>
            </span>
          </div>
          {(known(u.template)?.params?.length ?? 0) > 0 && <ParamFields standard={standardOf(known(u.template)!.params)} own={u.params as Params | undefined} change={(params) => put(i, { params })} />}
          <div className={blocks.field}>
            <label htmlFor={`kinds-${u.template}`}>{t('scope.kinds')}</label>
            <Select id={`kinds-${u.template}`} mode="tags" open={false} suffixIcon={null} value={u.kinds ?? []} tokenSeparators={[',']} placeholder={t('template.kindsHint')} onChange={(kinds: string[]) => put(i, { kinds })} />
          </div>
        </div>
      ))}
      {uses.length > 0 && narrow(draft) && <p className={blocks.hint}>{t('template.wide')}</p>}
      {free.length > 0 ? (
        <Select
          aria-label={t('template.add')}
          placeholder={t('template.add')}
          value={null}
          options={free.map((k) => ({ value: k.name, label: k.name }))}
          onChange={(template: string) => set([...uses, { template }])}
          style={{ maxWidth: 320 }}
        />
      ) : (
        <p className={blocks.hint}>
          {t('template.noneKept')} <Link to="/protection/templates">{t('template.title')}</Link>
        </p>
      )}
    </fieldset>
  )
}
