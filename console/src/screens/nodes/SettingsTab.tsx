import { useTranslation } from 'react-i18next'

import { flat } from './facts'
import css from './nodes.module.css'
import type { Details, NodeFacts } from './shapes'
import { Table } from './Table'
import { WithFacts } from './WithFacts'
import { Facts } from '../../parts/Facts'
import { Panel } from '../../parts/Page'
import { Verdict } from '../../parts/Verdict'
import { useFormat } from '../../text/format'

// SettingsTab is how a node is set up: components, files, kernel, runtime, ports, services, certificates.
export default function SettingsTab({ node }: { node: Details }) {
  return <WithFacts node={node}>{(facts) => <All facts={facts} />}</WithFacts>
}

function All({ facts }: { facts: NodeFacts }) {
  const { t } = useTranslation('nodes')
  return (
    <div className={css.panels}>
      <Component title="kubelet" settings={facts.kubelet} />
      <Component title="kube-proxy" settings={facts.kubeProxy} />
      <Panel title={t('files')}>
        <Table
          label={t('files')}
          head={[t('path'), t('fileRole'), t('mode'), t('owner')]}
          none={t('noFiles')}
          rows={(facts.files ?? []).map((f) => ({ key: f.path + f.role, cells: [<code key="p">{f.path}</code>, f.role, <code key="m">{f.mode}</code>, `${f.owner}:${f.group}`] }))}
        />
      </Panel>
      <Kernel facts={facts} />
      <Runtime facts={facts} />
      <Panel title={t('listening')}>
        <Table
          label={t('listening')}
          head={[t('address'), t('port'), t('process'), t('container')]}
          none={t('noListening')}
          rows={(facts.listening ?? []).map((l, i) => ({ key: `${i}-${l.port}`, cells: [<code key="a">{l.address}</code>, String(l.port), l.process || '–', l.container || t('host')] }))}
        />
      </Panel>
      <Services facts={facts} />
      <Certificates facts={facts} />
    </div>
  )
}

function Component({ title, settings }: { title: string; settings: NodeFacts['kubelet'] }) {
  const { t } = useTranslation('nodes')
  const lines = [...Object.entries(settings?.flags ?? {}).map(([k, v]) => [`--${k}`, v] as [string, string]), ...(settings?.config ? flat(settings.config) : [])]
  return (
    <Panel title={title}>
      {settings ? (
        <Table label={title} head={[t('setting'), t('value')]} none={t('noSettings')} rows={lines.map(([k, v]) => ({ key: k, cells: [<code key="k">{k}</code>, <code key="v">{v}</code>] }))} />
      ) : (
        <p className="text-soft">{t('notRead')}</p>
      )}
    </Panel>
  )
}

function Kernel({ facts }: { facts: NodeFacts }) {
  const { t } = useTranslation('nodes')
  const { number } = useFormat()
  const k = facts.kernel
  const sysctls = Object.entries(facts.sysctls ?? {}).sort(([a], [b]) => a.localeCompare(b))
  return (
    <Panel title={t('kernel')}>
      {k ? (
        <Facts
          items={[
            [t('release'), k.release || '–'],
            ['cgroup', k.cgroup || '–'],
            ['LSM', (k.lsm ?? []).join(', ') || '–'],
            ['SELinux', k.selinux || '–'],
            ['AppArmor', k.apparmor ? t('on') : t('off')],
            ['lockdown', k.lockdown || '–'],
            [t('modules'), number((k.modules ?? []).length)],
            !!k.blocked?.length && [t('blocked'), k.blocked.join(', ')],
          ]}
        />
      ) : (
        <p className="text-soft">{t('notRead')}</p>
      )}
      <Table label="sysctl" head={['sysctl', t('value')]} rows={sysctls.map(([name, value]) => ({ key: name, cells: [<code key="n">{name}</code>, <code key="v">{value}</code>] }))} />
    </Panel>
  )
}

function Runtime({ facts }: { facts: NodeFacts }) {
  const { t } = useTranslation('nodes')
  const r = facts.runtime
  const lines = r.settings ? flat(r.settings) : []
  return (
    <Panel title={t('runtime')}>
      <Facts items={[[t('name'), [r.name, r.version].filter(Boolean).join(' ') || t('unknown')], !!r.runc && ['runc', r.runc], !!r.socket && [t('socket'), <code key="s">{r.socket}</code>]]} />
      {r.settings ? (
        <Table label={t('runtime')} head={[t('setting'), t('value')]} rows={lines.map(([k, v]) => ({ key: k, cells: [<code key="k">{k}</code>, <code key="v">{v}</code>] }))} />
      ) : (
        <p className="text-soft">{t('notRead')}</p>
      )}
    </Panel>
  )
}

function Services({ facts }: { facts: NodeFacts }) {
  const { t } = useTranslation('nodes')
  return (
    <Panel title={t('services')}>
      <Table
        label={t('services')}
        head={[t('name'), t('enabled'), t('active')]}
        none={t('noServices')}
        rows={(facts.services ?? []).map((s) => ({ key: s.name, cells: [<code key="n">{s.name}</code>, s.enabled ? t('yes') : t('no'), s.active ? t('yes') : t('no')] }))}
      />
    </Panel>
  )
}

function Certificates({ facts }: { facts: NodeFacts }) {
  const { t } = useTranslation('nodes')
  const { number } = useFormat()
  return (
    <Panel title={t('certificates')}>
      <Table
        label={t('certificates')}
        head={[t('path'), t('subject'), t('ends'), t('key')]}
        none={t('noCertificates')}
        rows={(facts.certificates ?? []).map((c, i) => ({
          key: `${i}-${c.path}`,
          cells: [
            <code key="p">{c.path}</code>,
            c.subject,
            <Verdict key="e" state={c.daysLeft < 0 ? 'bad' : c.daysLeft < 30 ? 'warn' : 'ok'} word={c.daysLeft < 0 ? t('expired') : t('daysLeft', { count: c.daysLeft, number: number(c.daysLeft) })} />,
            [c.keyType, c.keyBits].filter(Boolean).join(' '),
          ],
        }))}
      />
    </Panel>
  )
}
