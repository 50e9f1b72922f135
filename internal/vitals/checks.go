package vitals

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	gometrics "runtime/metrics"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store"
)

func check(id, en, zh string) Check {
	return Check{ID: id, State: OK, title: finding.Text{EN: en, ZH: zh}, Figures: map[string]int64{}}
}

// say sets the verdict and the sentence, in both languages with the same values.
func (c *Check) say(state, en, zh string, args ...any) {
	c.State = state
	c.text = finding.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

func (s *Service) processes(_ context.Context, out *System) (Check, error) {
	c := check("processes", "Processes", "服务进程")
	var running, quiet int
	versions, roles := map[string]bool{}, map[string]bool{}
	for _, r := range out.Replicas {
		if r.Silent {
			quiet++
			continue
		}
		running++
		versions[r.Version] = true
		for _, role := range r.Roles {
			roles[role] = true
		}
	}
	c.Figures["running"], c.Figures["silent"] = int64(running), int64(quiet)
	switch {
	case !roles["worker"]:
		c.say(Bad, "No process has the role worker: nothing is scanned.", "没有承担 worker 角色的进程，扫描不会执行。")
	case !roles["scheduler"]:
		c.say(Bad, "No process has the role scheduler: schedules, expiries and notifications stand still.", "没有承担 scheduler 角色的进程，定时任务、到期处理和通知均已停止。")
	case quiet > 0:
		c.say(Warn, "%d running, %d without a sign of life for three minutes.", "%d 个运行中，%d 个超过三分钟没有心跳。", running, quiet)
	case len(versions) > 1:
		c.say(Warn, "%d running, with %d different versions.", "%d 个运行中，存在 %d 个不同版本。", running, len(versions))
	default:
		c.say(OK, "%d running.", "%d 个运行中。", running)
	}
	return c, nil
}

func (s *Service) leader(_ context.Context, out *System) (Check, error) {
	c := check("leader", "Leader", "主节点")
	for _, r := range out.Replicas {
		if r.Leads && !r.Silent {
			c.say(OK, "%s does schedules, expiries and notifications.", "%s 负责定时任务、到期处理和通知。", r.Name)
			return c, nil
		}
	}
	c.say(Bad, "No process leads: schedules, expiries and notifications stand still. After a start it takes some seconds.", "没有主节点，定时任务、到期处理和通知均已停止。刚启动时需等待数秒。")
	return c, nil
}

func (s *Service) database(ctx context.Context, out *System) (Check, error) {
	c := check("database", "Database", "数据库")
	var bytes int64
	var version string
	started := time.Now()
	var err error
	if s.o.DB.Postgres() {
		err = s.o.DB.R.NewRaw("SELECT pg_database_size(current_database()), current_setting('server_version')").Scan(ctx, &bytes, &version)
	} else {
		err = s.o.DB.R.NewRaw("SELECT page_count * page_size, sqlite_version() FROM pragma_page_count(), pragma_page_size()").Scan(ctx, &bytes, &version)
	}
	if err != nil {
		return c, err
	}
	took := time.Since(started)
	c.Figures["bytes"], c.Figures["answerMs"] = bytes, took.Milliseconds()
	name := map[string]string{"sqlite": "SQLite", "postgresql": "PostgreSQL"}[out.Database]
	state := OK
	if took > time.Second {
		state = Warn
	}
	c.say(state, "%s %s, %s, answered in %d ms.", "%s %s，%s，响应用时 %d 毫秒。", name, version, size(bytes), took.Milliseconds())
	return c, nil
}

// Bytes of a disk that are few, and too few.
const (
	fewBytes    = 5 << 30
	tooFewBytes = 1 << 30
)

func (s *Service) disk(context.Context, *System) (Check, error) {
	c := check("disk", "Disk", "磁盘")
	free, total, err := space(s.o.Data)
	if err != nil || total == 0 {
		c.say(Warn, "How much room the disk of the data folder has is not known on this system.", "无法获知数据目录所在磁盘的剩余空间。")
		return c, nil
	}
	c.Figures["free"], c.Figures["total"] = free, total
	state := OK
	switch {
	case free < tooFewBytes:
		state = Bad
	case free < fewBytes || free < total/20:
		state = Warn
	}
	c.say(state, "%s of %s free where the data folder is.", "数据目录所在磁盘剩余 %s，共 %s。", size(free), size(total))
	return c, nil
}

func (s *Service) queue(ctx context.Context, _ *System) (Check, error) {
	c := check("queue", "Scan queue", "扫描队列")
	var waiting, running int64
	var oldest store.Time
	now := store.At(s.o.Now())
	err := s.o.DB.R.NewRaw("SELECT count(*) FROM task_items WHERE status = 'running'").Scan(ctx, &running)
	if err == nil {
		err = s.o.DB.R.NewRaw("SELECT count(*), coalesce(min(created_at), 0) FROM task_items WHERE status = 'ready' AND not_before <= ?", now).Scan(ctx, &waiting, &oldest)
	}
	if err != nil {
		return c, err
	}
	c.Figures["waiting"], c.Figures["running"] = waiting, running
	state, age := OK, time.Duration(0)
	if waiting > 0 {
		age = now.Sub(oldest.Time)
		c.Figures["oldestSeconds"] = int64(age.Seconds())
	}
	switch {
	case age > 6*time.Hour:
		state = Bad
	case age > time.Hour:
		state = Warn
	}
	if waiting == 0 {
		c.say(state, "Nothing waits, %d running.", "没有等待项，%d 项运行中。", running)
		return c, nil
	}
	c.State = state
	c.text = finding.Text{EN: fmt.Sprintf("%d waiting, %d running; the oldest waits for %s.", waiting, running, span(age, "en")),
		ZH: fmt.Sprintf("%d 项等待，%d 项运行中，最早的已等待%s。", waiting, running, span(age, "zh"))}
	return c, nil
}

func (s *Service) outbox(ctx context.Context, _ *System) (Check, error) {
	c := check("outbox", "Messages about changes", "变更消息")
	var count int64
	var oldest store.Time
	// Counted to a bound: a backlog of millions is as bad as one of a hundred thousand.
	err := s.o.DB.R.NewRaw("SELECT count(*), coalesce(min(at), 0) FROM (SELECT at FROM outbox ORDER BY id LIMIT 100000) o").Scan(ctx, &count, &oldest)
	if err != nil {
		return c, err
	}
	c.Figures["waiting"] = count
	age := time.Duration(0)
	if count > 0 {
		age = s.o.Now().Sub(oldest.Time)
		c.Figures["oldestSeconds"] = int64(age.Seconds())
	}
	state := OK
	switch {
	case age > time.Hour:
		state = Bad
	case age > 10*time.Minute || count > 10_000:
		state = Warn
	}
	if count == 0 {
		c.say(OK, "All are handed on.", "均已转发。")
	} else {
		c.say(state, "%d wait to be handed on.", "%d 条等待转发。", count)
	}
	return c, nil
}

func (s *Service) deliveries(ctx context.Context, _ *System) (Check, error) {
	c := check("deliveries", "Notifications", "通知投递")
	day := store.At(s.o.Now().Add(-24 * time.Hour))
	var dead, waiting, failing int64
	err := s.o.DB.R.NewRaw("SELECT count(*) FROM deliveries WHERE done_at <> 0 AND done_at > ? AND state = 'dead'", day).Scan(ctx, &dead)
	if err == nil {
		err = s.o.DB.R.NewRaw("SELECT count(*) FROM deliveries WHERE state = 'waiting'").Scan(ctx, &waiting)
	}
	if err == nil {
		err = s.o.DB.R.NewRaw("SELECT count(*) FROM channels WHERE enabled AND failure <> ''").Scan(ctx, &failing)
	}
	if err != nil {
		return c, err
	}
	c.Figures["failed"], c.Figures["waiting"], c.Figures["channelsFailing"] = dead, waiting, failing
	switch {
	case dead > 0:
		c.say(Bad, "Given up in the last 24 hours: %d, waiting: %d; channels that fail: %d.", "过去 24 小时有 %d 条投递被放弃，%d 条等待，%d 个渠道异常。", dead, waiting, failing)
	case failing > 0:
		c.say(Warn, "Channels that fail: %d; messages waiting: %d.", "%d 个渠道异常，%d 条消息等待投递。", failing, waiting)
	default:
		c.say(OK, "None given up in the last 24 hours, %d waiting.", "过去 24 小时没有投递被放弃，%d 条等待。", waiting)
	}
	return c, nil
}

func (s *Service) connectors(ctx context.Context, _ *System) (Check, error) {
	c := check("connectors", "Clusters", "集群连接")
	var all, lost, connectors, lostConnectors int64
	err := s.o.DB.R.NewRaw("SELECT count(*), coalesce(sum(CASE WHEN c.state IN ('unreachable', 'refused') THEN 1 ELSE 0 END), 0), "+
		"coalesce(sum(CASE WHEN c.kind = 'connector' THEN 1 ELSE 0 END), 0), "+
		"coalesce(sum(CASE WHEN c.kind = 'connector' AND c.state IN ('unreachable', 'refused') THEN 1 ELSE 0 END), 0) "+
		"FROM clusters c JOIN targets t ON t.id = c.target_id WHERE t.removed_at = 0").Scan(ctx, &all, &lost, &connectors, &lostConnectors)
	if err != nil {
		return c, err
	}
	c.Figures["clusters"], c.Figures["lost"], c.Figures["connectors"], c.Figures["connectorsLost"] = all, lost, connectors, lostConnectors
	switch {
	case all == 0:
		c.say(OK, "No cluster was added yet.", "尚未接入集群。")
	case lost > 0:
		c.say(Warn, "%d of %d clusters cannot be reached (%d of %d connectors).", "%[2]d 个集群中有 %[1]d 个无法连接（%[4]d 个连接器中有 %[3]d 个）。", lost, all, lostConnectors, connectors)
	default:
		c.say(OK, "Clusters: %d, of them by a connector: %d; none is lost.", "共 %d 个集群，其中 %d 个通过连接器接入，均正常。", all, connectors)
	}
	return c, nil
}

// memory is what the runtime holds of the machine's memory.
func memory() int64 {
	sample := []gometrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	gometrics.Read(sample)
	return int64(sample[0].Value.Uint64()) - int64(sample[1].Value.Uint64()) //nolint:gosec // bytes of memory
}

// limit is how much memory this process may use: as the runtime or the control group was told; 0 is not known.
func limit() int64 {
	if n := debug.SetMemoryLimit(-1); n > 0 && n < 1<<60 {
		return n
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(filepath.Clean(name)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 && n < 1<<60 {
				return n
			}
		}
	}
	return 0
}

func (s *Service) memory(context.Context, *System) (Check, error) {
	c := check("memory", "Memory", "内存")
	used, most := memory(), limit()
	c.Figures["used"], c.Figures["limit"] = used, most
	switch {
	case most == 0:
		c.say(OK, "%s in use; no limit is set for this process.", "已使用 %s，进程未设置内存上限。", size(used))
	case used > most/10*9:
		c.say(Bad, "%s in use of %s: the process may be ended.", "已使用 %s，上限 %s，进程可能被终止。", size(used), size(most))
	case used > most/10*8:
		c.say(Warn, "%s in use of %s.", "已使用 %s，上限 %s。", size(used), size(most))
	default:
		c.say(OK, "%s in use of %s.", "已使用 %s，上限 %s。", size(used), size(most))
	}
	return c, nil
}

func (s *Service) certificate(context.Context, *System) (Check, error) {
	c := check("certificate", "TLS certificate", "TLS 证书")
	var cert *x509.Certificate
	if s.o.Certificate != nil {
		cert = s.o.Certificate()
	}
	if cert == nil {
		c.say(Warn, "This process serves without TLS of its own: something before it must do that.", "本进程未启用 TLS，需由前置组件提供加密。")
		return c, nil
	}
	s.expires(&c, cert, 21, 7)
	return c, nil
}

func (s *Service) authority(context.Context, *System) (Check, error) {
	c := check("authority", "Certificate authority of connectors", "连接器证书颁发机构")
	if s.o.Authority == nil || s.o.Authority() == nil {
		c.say(OK, "There is none.", "未使用。")
		return c, nil
	}
	s.expires(&c, s.o.Authority(), 180, 30)
	return c, nil
}

func (s *Service) expires(c *Check, cert *x509.Certificate, warn, bad int) {
	left := int(cert.NotAfter.Sub(s.o.Now()).Hours() / 24)
	c.Figures["daysLeft"] = int64(left)
	state := OK
	switch {
	case left < bad:
		state = Bad
	case left < warn:
		state = Warn
	}
	if !s.o.Now().Before(cert.NotAfter) {
		c.say(Bad, "It ended on %s.", "已于 %s 过期。", cert.NotAfter.UTC().Format(time.DateOnly))
		return
	}
	c.say(state, "Valid for %d more days, until %s.", "剩余有效期 %d 天，至 %s。", left, cert.NotAfter.UTC().Format(time.DateOnly))
}

func (s *Service) advisories(_ context.Context, out *System) (Check, error) {
	c := check("advisories", "Advisory data", "漏洞库")
	var used Advisories
	if s.o.Advisories != nil {
		used = s.o.Advisories()
	}
	built, err := time.Parse(time.RFC3339, used.BuiltAt)
	if used.BuiltAt == "" || err != nil {
		c.say(Bad, "There is no advisory database: vulnerabilities are not found.", "没有漏洞库，无法发现漏洞。")
		return c, nil
	}
	days := int(s.o.Now().Sub(built).Hours() / 24)
	c.Figures["ageDays"] = int64(days)
	state := OK
	switch {
	case days >= 14:
		state = Bad
	case days >= 3 || used.Problem:
		state = Warn
	}
	different := 0
	for _, r := range out.Replicas {
		if !r.Silent && r.Advisories != "" && r.Advisories != used.BuiltAt {
			different++
		}
	}
	day := built.UTC().Format(time.DateOnly)
	c.State = state
	c.text = finding.Text{EN: "Built on " + day + ", " + span(s.o.Now().Sub(built), "en") + " ago.", ZH: "构建于 " + day + "，距今" + span(s.o.Now().Sub(built), "zh") + "。"}
	if used.Problem {
		c.text.EN += " The one in the folder is another, and cannot be used."
		c.text.ZH += "目录中的新漏洞库无法使用。"
	}
	if different > 0 {
		if state == OK {
			c.State = Warn
		}
		c.text.EN += fmt.Sprintf(" %d other processes use another one.", different)
		c.text.ZH += fmt.Sprintf("另有 %d 个进程使用不同的漏洞库。", different)
	}
	return c, nil
}

// skew is how far the clock of this process is before the database's; 0 on SQLite, which has none of its own.
func (s *Service) skew(ctx context.Context) time.Duration {
	if !s.o.DB.Postgres() {
		return 0
	}
	before := time.Now()
	var millis float64
	if s.o.DB.R.NewRaw("SELECT extract(epoch FROM clock_timestamp()) * 1000").Scan(ctx, &millis) != nil {
		return 0
	}
	middle := before.Add(time.Since(before) / 2)
	return middle.Sub(time.UnixMilli(int64(millis)))
}

func (s *Service) clock(ctx context.Context, out *System) (Check, error) {
	c := check("clock", "Clock", "时钟")
	// What was written last cannot be of the future: a clock that was set back shows so.
	var last store.Time
	if err := s.o.DB.R.NewRaw("SELECT coalesce(max(at), 0) FROM audit").Scan(ctx, &last); err != nil {
		return c, err
	}
	ahead := last.Sub(s.o.Now())
	worst := time.Duration(0)
	for _, r := range out.Replicas {
		if d := (time.Duration(r.Skew) * time.Millisecond).Abs(); !r.Silent && d > worst {
			worst = d
		}
	}
	c.Figures["skewMs"] = worst.Milliseconds()
	switch {
	case !last.IsZero() && ahead > 5*time.Minute:
		c.State = Bad
		c.text = finding.Text{EN: "The clock was set back: the last change is written down for " + span(ahead, "en") + " from now.", ZH: "时钟被回拨：最近一次变更的记录时间晚于当前时间" + span(ahead, "zh") + "。"}
	case worst > time.Minute:
		c.say(Bad, "Clocks differ by %d seconds: certificates and leases go wrong.", "时钟偏差 %d 秒，证书和租约会出错。", int(worst.Seconds()))
	case worst > 5*time.Second:
		c.say(Warn, "Clocks differ by %d seconds.", "时钟偏差 %d 秒。", int(worst.Seconds()))
	case s.o.DB.Postgres():
		c.say(OK, "In step with the database.", "与数据库时钟一致。")
	default:
		c.say(OK, "Not behind what was written last.", "不早于最近一次写入的时间。")
	}
	return c, nil
}

// size is bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB"
	case n >= 1<<20:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n>>10, 10) + " KiB"
}

// span is a duration for people, roughly.
func span(d time.Duration, lang string) string {
	n, en, zh := int64(d.Seconds()), "second", "秒"
	switch {
	case d >= 48*time.Hour:
		n, en, zh = int64(d.Hours()/24), "day", "天"
	case d >= 2*time.Hour:
		n, en, zh = int64(d.Hours()), "hour", "小时"
	case d >= 2*time.Minute:
		n, en, zh = int64(d.Minutes()), "minute", "分钟"
	}
	if lang == "zh" {
		return fmt.Sprintf(" %d %s", n, zh)
	}
	if n != 1 {
		en += "s"
	}
	return fmt.Sprintf("%d %s", n, en)
}
