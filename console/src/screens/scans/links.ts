import type { Task } from './progress'

type To = { to: string; search: Record<string, string> }

// added are the findings that came with a task, closed those that went with it.
export function added(task: Pick<Task, 'startedAt' | 'targets'>): To {
  return { to: '/risks', search: { view: 'findings', ...about(task), firstSince: task.startedAt ?? '' } }
}

export function closed(task: Pick<Task, 'startedAt' | 'targets'>): To {
  return { to: '/risks', search: { view: 'findings', ...about(task), status: 'fixed,gone', changedSince: task.startedAt ?? '' } }
}

// changes are all findings whose status a task changed.
export function changes(task: Pick<Task, 'startedAt' | 'targets'>): To {
  const status = 'open,reopened,unseen,ignored,accepted,marked-fixed,fixed,gone'
  return { to: '/risks', search: { view: 'findings', ...about(task), status, changedSince: task.startedAt ?? '' } }
}

function about(task: Pick<Task, 'targets'>): Record<string, string> {
  // A list of very many clusters has no room in an address: the time narrows it enough.
  return task.targets.length > 0 && task.targets.length <= 100 ? { target: task.targets.map((x) => x.id).join(',') } : {}
}
