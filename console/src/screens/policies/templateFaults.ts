// What the engine says against a template, with the line of the editor that it is about.
import { Failed } from '../../api/client'

export type TemplateFault = { line?: number; field?: string; message: string }

const numbered = /\bline (\d+)(?::| of|,|\b)/i
const rego = /\b[\w.<>-]*rego[\w.<>-]*:(\d+)/i // Rego's compiler: template.rego:12:3

// faultsOf reads the lines of an answer that refuses a template.
export function faultsOf(error: unknown): TemplateFault[] {
  if (!(error instanceof Failed)) return []
  const all = error.fields.length > 0 ? error.fields.map((f) => ({ field: f.location.replace(/^body\.?/, '') || undefined, message: f.message })) : error.detail.split('\n').filter(Boolean).map((message) => ({ message, field: undefined }))
  return all.map((f) => {
    const found = numbered.exec(f.message) ?? numbered.exec(f.field ?? '') ?? rego.exec(f.message)
    const line = found ? Number(found[1]) : undefined
    return { ...f, ...(line ? { line } : {}) }
  })
}
