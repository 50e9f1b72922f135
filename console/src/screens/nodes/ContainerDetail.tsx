import { Link } from '@tanstack/react-router'
import { Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import { command, signsOf } from './facts'
import type { Container, Details } from './shapes'
import { Signs } from './Signs'
import { Table } from './Table'
import { WithHash } from './WithHash'
import blocks from '../../parts/Blocks.module.css'
import { Facts } from '../../parts/Facts'
import { Verdict } from '../../parts/Verdict'
import { useFormat } from '../../text/format'

const whys = ['added', 'changed', 'deleted', 'memory'] as const
const roles = ['sshd', 'shell', 'package-manager', 'debugger', 'miner'] as const

// ContainerDetail is one running container: image, processes with what they may do, mounts of the host, drift.
export function ContainerDetail({ container: c, node: n }: { container: Container; node: Details }) {
  const { t } = useTranslation('nodes')
  const { number, bytes } = useFormat()
  const shared = [c.hostPid && 'PID', c.hostNetwork && t('network'), c.hostIpc && 'IPC'].filter(Boolean)
  const drift = c.drift ?? []
  const processes = c.processes ?? []
  return (
    <div className={blocks.stack}>
      <Signs list={signsOf(c)} />
      <Facts
        items={[
          [t('image'), c.image || '–'],
          [t('digest'), c.digest ? <Link to="/images/$digest" params={{ digest: c.digest }}>{c.digest}</Link> : t('noDigest')],
          !!c.namespace && [t('namespace'), c.namespace],
          !!c.pod && [t('pod'), c.static ? t('staticPod', { name: c.pod }) : c.pod],
          [t('runtime'), [c.runtime, c.handler].filter(Boolean).join(' · ') || '–'],
          [t('sharedWithNode'), shared.length > 0 ? shared.join(', ') : t('nothing')],
          [t('userNamespace'), c.userNamespace ? t('yes') : t('no')],
          [t('readOnlyRoot'), c.readOnlyRoot ? t('yes') : t('no')],
          [t('writable'), t('writableOf', { size: bytes(c.writableBytes ?? 0), files: number(c.writableFiles ?? 0) })],
        ]}
      />
      <h3>{t('drift')}</h3>
      <p className="text-soft">{t('driftHint')}</p>
      <Table
        label={t('drift')}
        head={[t('path'), t('what'), t('runs'), t('size')]}
        none={t('noDrift')}
        rows={drift.map((d) => ({
          key: d.path + d.why,
          cells: [<WithHash key="p" path={d.path} sha256={d.sha256} />, why(t, d.why), d.running ? <Verdict key="r" state="bad" word={t('yes')} /> : t('no'), d.size ? bytes(d.size) : '–'],
        }))}
      />
      <h3>{t('processes')}</h3>
      <Table
        label={t('processes')}
        head={[t('command'), 'UID', t('caps'), 'seccomp', 'LSM', t('role')]}
        none={t('noProcesses')}
        rows={processes.map((p, i) => ({
          key: `${i}-${p.name}`,
          cells: [
            <code key="c" title={p.exe}>
              {command(p)}
            </code>,
            p.uid === 0 ? <strong key="u">0</strong> : String(p.uid),
            (p.caps ?? []).join(', ') || '–',
            p.seccomp || '–',
            p.lsm || '–',
            p.role ? <Tag key="r" color="red">{role(t, p.role)}</Tag> : '–',
          ],
        }))}
      />
      <h3>{t('mounts')}</h3>
      <Table
        label={t('mounts')}
        head={[t('onNode'), t('inContainer'), t('access'), t('propagation')]}
        none={t('noMounts')}
        rows={(c.mounts ?? []).map((m) => ({
          key: m.path,
          cells: [<code key="s">{m.source}</code>, <code key="p">{m.path}</code>, m.readOnly ? t('readOnly') : <Verdict key="w" state="warn" word={t('readWrite')} />, m.propagation || '–'],
        }))}
      />
      <p>
        <Link to="/risks" search={{ view: 'findings', target: n.targetId, ...(c.namespace ? { namespace: c.namespace } : {}), q: c.pod ?? c.container ?? '' }}>{t('findingsAround')}</Link>
      </p>
    </div>
  )
}

type T = ReturnType<typeof useTranslation<'nodes'>>['t']

function why(t: T, word: string): string {
  const known = whys.find((w) => w === word)
  return known ? t(`driftWhy.${known}`) : word
}

function role(t: T, word: string): string {
  const known = roles.find((r) => r === word)
  return known ? t(`processRole.${known}`) : word
}
