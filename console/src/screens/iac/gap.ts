// fileOfGap reads the file and the line of "deploy/till.yaml:3:1".
export function fileOfGap(subject: string): { file: string; line?: number } {
  const m = /^(.*?)(?::(\d+))?(?::\d+)?$/.exec(subject)
  return { file: m?.[1] ?? subject, line: m?.[2] ? Number(m[2]) : undefined }
}
