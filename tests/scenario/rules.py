"""Rules: the API that stores them, and the files behind it."""
import os
import signal
import subprocess
import urllib.parse

from harness import check, check_eq, spoor_path, wait_for

ACCEPTED = {"status": "success", "data": None, "errorType": "", "error": ""}
GROUP = """name: g
interval: 1m
rules:
- alert: A
  expr: sum(rate({app="x"}[1m])) > 0
  for: 5m
  labels: {sev: page}
- record: job:x
  expr: |-
    sum(rate({app="x"}[1m]))
"""
AS_YAML = """ns:
    - name: g
      interval: 1m
      rules:
        - alert: A
          expr: sum(rate({app="x"}[1m])) > 0
          for: 5m
          labels:
            sev: page
        - record: job:x
          expr: sum(rate({app="x"}[1m]))
"""
ONE = """name: g
interval: 1m
rules:
    - alert: A
      expr: sum(rate({app="x"}[1m])) > 0
      for: 5m
      labels:
        sev: page
    - record: job:x
      expr: sum(rate({app="x"}[1m]))
"""
PATH = "/loki/api/v1/rules"


def post(d, path, group, **headers):
    return d.request("POST", path, group, {"Content-Type": "application/yaml", **headers})


def check_text(answer, status, text, what):
    check_eq((answer.status, answer.text), (status, text), what)


def scenario_api(ctx):
    d = ctx.daemon()
    check_text(d.get(PATH), 404, "no rule groups found\n", "no rules yet")
    check_text(d.get(PATH + "/ns"), 404, "no rule groups found\n", "no namespace yet")
    check_text(d.get(PATH + "/ns/g"), 404, "group does not exist\n", "no group yet")
    a = post(d, PATH + "/ns", GROUP)
    check_eq((a.status, a.json(), a.headers["Content-Type"]), (202, ACCEPTED, "application/json"), "a group")
    for path in (PATH, PATH + "/ns", "/api/prom/rules", "/api/prom/rules/ns"):
        a = d.get(path)
        check_text(a, 200, AS_YAML, path)
        check_eq(a.headers["Content-Type"], "application/yaml", "type of " + path)
    check_text(d.get(PATH + "/ns/g"), 200, ONE, "one group")
    check_text(d.get("/api/prom/rules/ns/g"), 200, ONE, "one group")
    check_eq(post(d, PATH + "/ns", ONE).status, 202, "what was read can be written")
    check_text(d.get(PATH), 200, AS_YAML, "and is the same")
    check_eq(post(d, "/api/prom/rules/other", GROUP).status, 202, "another namespace")
    d.kill_and_start()
    check_text(d.get(PATH), 200, AS_YAML + AS_YAML.replace("ns:", "other:", 1), "after a crash")

    for _ in range(2):
        a = d.request("DELETE", PATH + "/other/g")
        check_eq((a.status, a.json()), (202, ACCEPTED), "delete a group, there or not")
    check_text(d.request("DELETE", PATH + "/other"), 404, "group namespace does not exist\n", "empty namespaces are gone")
    check_eq(d.request("DELETE", PATH + "/ns").status, 202, "delete a namespace")
    check_text(d.get(PATH), 404, "no rule groups found\n", "nothing left")
    check_eq(d.request("PUT", PATH + "/ns", GROUP).status, 405, "PUT")
    check_eq(post(d, PATH, GROUP).status, 405, "POST without a namespace")


def scenario_refusals(ctx):
    d = ctx.daemon()
    for group, text in (
            ("rules: []", "group 0: Groupname must not be empty\n"),
            ("", "group 0: Groupname must not be empty\n"),
            ("name: [", "unable to decoded rule group\n"),
            ("name: &a [*a]", "unable to decoded rule group\n"),
            ('name: g2\nrules:\n- alert: A\n  expr: \'sum(count_over_time({a="b"}\'\n',
             "could not parse expression for alert 'A' in group 'g2': parse error at line 1, col 28: syntax error: "
             "unexpected $end, expecting RANGE\n")):
        a = post(d, PATH + "/ns", group)
        check_eq(a.status, 400, "status for %r" % group)
        if "parse error" in text:
            check(a.text.startswith(text[:text.index("parse error")]), "text for %r" % group, a.text)
        else:
            check_eq(a.text, text, "text for %r" % group)
    check_eq(post(d, PATH + "/ns", "name: g\n", **{"Sec-Fetch-Site": "cross-site"}).status, 403, "another site's page")
    check_eq(d.request("DELETE", PATH + "/ns", headers={"Origin": "http://evil.example"}).status, 403, "another site's page")
    check_eq(post(d, PATH + "/" + "n" * 300, "name: g\n").status, 400, "a name no file can have")
    check_eq(post(d, PATH + "/ns", "name: g\n#" + "x" * (1 << 20)).status, 413, "more than a MiB")
    check_text(d.get(PATH), 404, "no rule groups found\n", "nothing was stored")


def scenario_names(ctx):
    """Namespaces and groups may have any name, with slashes, too."""
    d = ctx.daemon()
    for ns, group in (("a/b", "c/d"), ("../../x", "g"), ("sp ace", "gr oup"), ("caf\u00e9", "\U0001f525"), ("5", "true"),
                      ("a: b", "#x")):
        raw = PATH + "/" + urllib.parse.quote(ns, safe="")
        check_eq(post(d, raw, ("name: '%s'\n" % group).encode()).status, 202, "store in %r" % ns)
        check_eq(d.get(raw).status, 200, "read %r" % ns)
        raw += "/" + urllib.parse.quote(group, safe="")
        check_eq(d.get(raw).status, 200, "read %r %r" % (ns, group))
        check_eq(d.request("DELETE", raw).status, 202, "delete %r %r" % (ns, group))
        check_eq(d.get(raw).status, 404, "%r %r is gone" % (ns, group))
    check_eq(d.get(PATH + "/../rules").status, 404, "dots are no name")
    check_eq(d.get("/loki/api/v1/label/a%2Fb/values").status, 404, "other routes take no slash")
    check_eq(sorted(os.listdir(os.path.join(d.data, "rules"))), ["fake"], "nothing was written elsewhere")


def scenario_tenants(ctx):
    d = ctx.daemon(settings={"auth_enabled": "true"})
    check_eq(d.get(PATH).status, 401, "no tenant")
    check_eq(d.get("/prometheus/api/v1/rules").status, 401, "no tenant")
    check_eq(post(d, PATH + "/ns", GROUP, **{"X-Scope-OrgID": "one"}).status, 202, "for one")
    check_eq(d.request("GET", PATH, headers={"X-Scope-OrgID": "two"}).status, 404, "not for two")
    check_text(d.request("GET", PATH, headers={"X-Scope-OrgID": "one"}), 200, AS_YAML, "but for one")


def scenario_files(ctx):
    """Rules are files that people may write, too; SIGHUP reads them again."""
    folder = os.path.join(ctx.tmp, "rules")
    os.makedirs(os.path.join(folder, "fake"))
    path = os.path.join(folder, "fake", "by.hand.yml")

    def write(text):
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def hup(text):
        write(text)
        d.process.send_signal(signal.SIGHUP)

    write("groups:\n- name: h\n  rules:\n  - {record: a, expr: '1'}\n")
    d = ctx.daemon(settings={"rules_dir": folder})
    check_eq(d.get(PATH + "/by.hand/h").text, 'name: h\nrules:\n    - record: a\n      expr: "1"\n', "read at the start")
    hup("groups:\n- name: i\n")
    wait_for(lambda: d.get(PATH + "/by.hand/i").status == 200, 15, "the new group")
    hup("groups:\n- name: [\n")
    wait_for(lambda: "rule file is damaged" in d.log_text(), 15, "a word about the damage")
    check_eq(d.get(PATH + "/by.hand/i").status, 200, "the former group stays")
    check("spoor_rules_damaged_files 1" in d.get("/metrics").text, "and is counted")
    check_eq(post(d, PATH + "/by.hand", GROUP).status, 422, "writing would lose what is in it")
    hup("groups:\n- name: k\n")
    wait_for(lambda: d.get(PATH + "/by.hand/k").status == 200, 15, "the mended file")
    check_eq(post(d, PATH + "/by.hand", GROUP).status, 202, "writing goes to that file")
    check_eq(os.listdir(os.path.join(folder, "fake")), ["by.hand.yml"], "there is no second one")
    check_eq(d.get(PATH + "/by.hand/g").status, 200, "the new group")


def scenario_prometheus_form(ctx):
    d = ctx.daemon()
    a = d.get("/prometheus/api/v1/rules")
    check_eq((a.status, a.json()), (200, {"status": "success", "data": {"groups": []}, "errorType": "", "error": ""}), "groups")
    a = d.get("/prometheus/api/v1/alerts")
    check_eq((a.status, a.json()), (200, {"status": "success", "data": {"alerts": []}, "errorType": "", "error": ""}), "alerts")
    check_eq(a.headers["Content-Type"], "application/json", "type")
    a = d.get("/prometheus/api/v1/rules", type="zzz")
    check_text(a, 400, '{"status":"error","data":null,"errorType":"bad_data","error":"not supported value \\"zzz\\""}', "type")


def scenario_check(ctx):
    """spoor rules check needs no server."""
    def run(text):
        path = os.path.join(ctx.tmp, "r.yaml")
        with open(path, "w") as f:
            f.write(text)
        done = subprocess.run([spoor_path(), "rules", "check", path], capture_output=True, timeout=60)
        return done.returncode, done.stdout.decode().replace(path, "r.yaml"), done.stderr.decode().replace(path, "r.yaml")

    good = "groups:\n" + "".join("  " + line + "\n" for line in ("- " + GROUP.replace("\n", "\n  ")).splitlines())
    check_eq(run(good), (0, "r.yaml: 1 group, 1 alerting rule, 1 recording rule\n", ""), "a good file")
    code, out, err = run(good.replace("job:x", "job-x").replace("for: 5m", "for: soon"))
    check_eq((code, out), (1, ""), "a bad file")
    check_eq(err, 'r.yaml:7: for: not a valid duration string: "soon"\n', "which says where")
    code, out, err = run(good.replace("job:x", "job-x"))
    check_eq((code, err), (1, "r.yaml:9: invalid recording rule name: job-x\n"), "which says where")
    done = subprocess.run([spoor_path(), "rules", "check", os.path.join(ctx.tmp, "none")], capture_output=True, timeout=60)
    check_eq(done.returncode, 74, "no file")
    done = subprocess.run([spoor_path(), "rules", "paint", "x"], capture_output=True, timeout=60)
    check_eq(done.returncode, 2, "no such subcommand")


RULE_TEST = """rule_files: [al*.yaml]
evaluation_interval: 30s
tests:
- name: errors page someone
  input_streams:
  - labels: '{app="web", env="prod"}'
    entries:
    - {every: 10s, from: 1m, to: 5m, line: 'level=error status=500'}
    - {at: 3m, line: 'level=info status=200'}
  - labels: '{app="db"}'
    entries:
    - {at: 2m30s, line: slow, metadata: {kind: lock}}
  alert_rule_test:
  - {eval_time: 1m, alertname: Errors}
  - {eval_time: 2m30s, alertname: Errors}
  - eval_time: 3m
    alertname: Errors
    exp_alerts:
    - exp_labels: {app: web, severity: page}
      exp_annotations: {summary: 'web: 6 errors'}
  - {eval_time: 10m, alertname: Errors}
  record_rule_test:
  - {eval_time: 3m, record: 'lines:count', exp_samples: [{labels: '{app="web"}', value: 7}, {labels: '{app="db"}', value: 1}]}
  logql_expr_test:
  - {eval_time: 3m, expr: 'sum(count_over_time({app="web"}[1m]))', exp_samples: [{labels: '{}', value: 7}]}
  - {eval_time: 3m, expr: 'sum by (kind) (count_over_time({app="db"} | kind="lock" [5m]))', exp_samples: [{labels: '{kind="lock"}', value: 1}]}
  - {eval_time: 3m, expr: 'count_over_time({app="none"}[5m])'}
  - {eval_time: 3m, expr: '1 + 1', exp_samples: [{labels: '{}', value: 2}]}
"""
TESTED_RULES = """groups:
- name: g
  rules:
  - alert: Errors
    expr: sum by (app) (count_over_time({app="web"} | logfmt | level="error" [1m])) > 5
    for: 1m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.app }}: {{ $value }} errors'}
- name: h
  interval: 1m
  rules:
  - record: lines:count
    expr: sum by (app) (count_over_time({app=~".+"}[1m]))
"""


def scenario_rule_tests(ctx):
    """spoor rules test runs rules in a time of its own."""
    folder = os.path.join(ctx.tmp, "t")
    tmp = os.path.join(ctx.tmp, "tmp")
    os.makedirs(folder)
    os.makedirs(tmp)
    with open(os.path.join(folder, "alerts.yaml"), "w") as f:
        f.write(TESTED_RULES)

    def run(text):
        with open(os.path.join(folder, "test.yaml"), "w") as f:
            f.write(text)
        done = subprocess.run([spoor_path(), "rules", "test", "t/test.yaml"], capture_output=True, timeout=120, cwd=ctx.tmp,
                              env={**os.environ, "TMPDIR": tmp})
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    check_eq(run(RULE_TEST), (0, "t/test.yaml: 1 test, 9 checks, 0 failed\n", ""), "all is well")
    code, out, err = run(RULE_TEST.replace("'web: 6 errors'", "'web: 7 errors'").replace("value: 2}", "value: 3}"))
    check_eq((code, err), (1, ""), "two checks fail")
    check_eq(out, 't/test.yaml:16: alert Errors at 3m:\n'
             '    expected:\n'
             '        {alertname="Errors", app="web", severity="page"} {summary="web: 7 errors"}\n'
             '    got:\n'
             '        {alertname="Errors", app="web", severity="page"} {summary="web: 6 errors"}\n'
             't/test.yaml:28: expression 1 + 1 at 3m:\n    expected:\n        {} 3\n    got:\n        {} 2\n'
             't/test.yaml: 1 test, 9 checks, 2 failed\n', "and say how")
    for bad, text in (("al*.yaml", "line 1: no rule file t/none.yaml"), ("evaluation_interval", "has no field"),
                      ("eval_time: 1m", "not a valid duration"), ("every: 10s, ", "an entry has `at`")):
        new = {"al*.yaml": "none.yaml", "evaluation_interval": "interval", "eval_time: 1m": "eval_time: x"}.get(bad, "")
        code, out, err = run(RULE_TEST.replace(bad, new))
        check_eq(code, 65, "exit code without " + bad)
        check(text in err, "text without " + bad, err)
    check_eq(os.listdir(tmp), [], "nothing is left behind")
