import { expect, test } from 'vitest'

import english from './en.json'
import { inWords } from './said'
import translated from './zh.json'

const [en, zh] = [english.form, translated.form]

const chinese = (text: string) => inWords(text, (key, values) => zh[key].replace(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? ''))

test('every form is found again, and says it in Chinese', () => {
  const fill = (form: string) => form.replace(/\{\{n\}\}/g, '12').replace(/\{\{m\}\}/g, '9').replace(/\{\{(\w)\}\}/g, 'x-$1')
  for (const [key, form] of Object.entries(en)) expect(chinese(fill(form)), key).toBe(fill(zh[key as keyof typeof zh]))
})

test('sentences as agents say them', () => {
  for (const [text, want] of [
    ['the folder /var/lib/etcd', '目录 /var/lib/etcd'],
    ['the folder /run/x of the node', '节点目录 /run/x'],
    ['the containerd at /host/run/containerd/containerd.sock', 'containerd（/host/run/containerd/containerd.sock）'],
    ['rpc error: code = DeadlineExceeded desc = context deadline exceeded', '运行时接口返回错误 DeadlineExceeded：等待超时'],
    ['some processes do not show their network namespace: permission denied', '部分进程的网络命名空间不可见：权限不足'],
    ['shop/web/web: the rest of its writable layer was not looked at', 'shop/web/web：其可写层的其余部分未检查'],
    ['300 of 1200 were read', '共 1200 个，已读取 300 个'],
    ['checks cannot reach processes of the node, the container runtime', '以下内容无法读取，相关检查未执行：节点进程、容器运行时'],
    ['facts: the work took longer than 30m0s', '事实采集：任务超过 30m0s 仍未完成'],
    ['cpu pressure is 90 % (more than 60)', 'CPU 压力为 90%（高于 60%）'],
    ['the agent on node n1 is away: it was heard of last at 2026-11-21T10:00:00Z', '节点 n1 的代理已失联，最近通信时间为 2026-11-21T10:00:00Z'],
  ] as const)
    expect(chinese(text)).toBe(want)
})

test('what has no form is shown as it came', () => {
  for (const text of ['', 'CAP_SYS_PTRACE', 'a sentence: of tomorrow', 'x, y', '{{a}}', `the file ${'x'.repeat(5000)}`, ': '.repeat(200), 'the '.repeat(150)]) expect(chinese(text)).toBe(text)
})
