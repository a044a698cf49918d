/* spoord: options, signals, start and end of the process. */
#include <config.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "daemon/app.h"
#include "daemon/notify.h"
#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

struct options {
	struct config_args args;
	VEC(char *) set; /* "name=value", ours to free */
	bool rebuild_index, check_config, help, version;
};

enum { OPT_DATA = 256, OPT_LISTEN, OPT_CONFIG, OPT_SET, OPT_REBUILD, OPT_CHECK, OPT_VERSION };

static const struct option long_options[] = {
	{ "data", required_argument, NULL, OPT_DATA },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "set", required_argument, NULL, OPT_SET },
	{ "rebuild-index", no_argument, NULL, OPT_REBUILD },
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
	"usage: spoord --data DIR [--listen ADDRESS] [--config FILE] [--set NAME=VALUE]...\n"
	"\n"
	"  --data DIR         the data directory; made if it is missing\n"
	"  --listen ADDRESS   HOST:PORT to listen on (default 127.0.0.1:3100)\n"
	"  --config FILE      settings in YAML; SIGHUP reads it again\n"
	"  --set NAME=VALUE   one setting; wins over the file; repeatable\n"
	"  --check-config     check the settings and exit\n"
	"  --rebuild-index    make the indexes anew from the segments and exit\n"
	"  --version, --help\n"
	"\n"
	"Settings, by name in the file or after --set:\n";

static int parse_options(int argc, char **argv, struct options *o)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_DATA: vec_push(&o->set, xasprintf("data=%s", optarg)); break;
		case OPT_LISTEN: vec_push(&o->set, xasprintf("listen=%s", optarg)); break;
		case OPT_SET: vec_push(&o->set, xstrdup(optarg)); break;
		case OPT_CONFIG: o->args.file = optarg; break;
		case OPT_REBUILD: o->rebuild_index = true; break;
		case OPT_CHECK: o->check_config = true; break;
		case OPT_VERSION: o->version = true; break;
		case 'h': o->help = true; break;
		default: return -1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "spoord: unexpected argument: %s\n", argv[optind]);
		return -1;
	}
	o->args.set = (const char *const *)o->set.v;
	o->args.n_set = o->set.n;
	return 0;
}

static void options_fini(struct options *o)
{
	for (size_t i = 0; i < o->set.n; i++)
		free(o->set.v[i]);
	vec_fini(&o->set);
}

static int print_help(void)
{
	struct buf settings = { 0 };

	config_help(&settings);
	fputs(usage, stdout);
	fwrite(settings.p, 1, settings.n, stdout);
	buf_fini(&settings);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static const int64_t look_ns = 10 * NS_PER_S;

/* ------------------------------------------------------------------ signals */

/* All threads block these; the main thread takes them one by one. */
static sigset_t handled_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

static void set_up_signals(void)
{
	const sigset_t set = handled_signals();

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* The next signal, or 0 if it is time for the watchdog, or to look at files that may have changed. */
static int next_signal(void)
{
	const sigset_t set = handled_signals();
	int64_t watchdog = notify_watchdog_ns(), ns = watchdog > 0 ? MIN(watchdog, look_ns) : look_ns;
	const struct timespec wait = { ns / NS_PER_S, ns % NS_PER_S };

	for (;;) {
		int sig = sigtimedwait(&set, NULL, &wait);

		if (sig > 0)
			return sig;
		if (errno == EAGAIN)
			return 0;
	}
}

/* While the main thread drains: a second SIGTERM or SIGINT ends the process at once. What the WAL's policy
 * has left to the kernel is synced; nothing else is needed, a start replays the WAL. */
static void *wait_for_second_signal(void *arg)
{
	const char *data = arg;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigwait(&set, &sig);
	log_warn("second signal: exit at once", KVI("signal", sig));
	int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1)
		syncfs(fd);
	_exit(EX_OK);
}

static void watch_for_second_signal(char *data)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_for_second_signal, data) == 0)
		pthread_detach(thread);
}

static void reload(struct app *app)
{
	struct err err;

	notify_send("RELOADING=1");
	if (app_reload(app, &err) == -1)
		log_error("configuration not reloaded, the former one stays in force", KV("error", err.msg));
	notify_send("READY=1");
}

static void run(struct app *app, char *data)
{
	int sig;

	notify_send("READY=1");
	while ((sig = next_signal()) == 0 || sig == SIGHUP) {
		if (sig == SIGHUP)
			reload(app);
		else
			app_look_at_overrides(app);
		notify_send("WATCHDOG=1");
	}
	log_info("stopping", KV("signal", sig == SIGTERM ? "SIGTERM" : "SIGINT"));
	notify_send("STOPPING=1");
	watch_for_second_signal(data);
	app_stop(app);
	log_info("stopped");
}

/* ------------------------------------------------------------------ */

static int fail(const struct err *err)
{
	log_error("cannot start", KV("reason", err_name(err->code)), KV("error", err->msg));
	return err_exit_code(err->code);
}

static int serve(struct config *config, const struct options *o)
{
	char *data =
		xstrdup(config_settings(config)->data); /* for a thread that may outlive the configuration */
	struct app *app = NULL;
	struct err err;

	set_up_signals();
	notify_init();
	process_log_versions();
	if (app_start(config, &o->args, &app, &err) == -1) {
		free(data);
		return fail(&err);
	}
	run(app, data);
	return EX_OK; /* data stays: the thread that waits for a second signal may read it */
}

static int rebuild_index(struct config *config)
{
	struct err err;

	if (app_rebuild_index(config, &err) == -1)
		return fail(&err);
	log_info("indexes rebuilt");
	return EX_OK;
}

/* Memory that one thread takes and another gives back would else lie idle in as many heaps as there are threads. */
static void share_heaps(void)
{
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, 2);
#endif
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct config *config = NULL;
	struct err err;
	int rc = EX_USAGE;

	share_heaps();
	if (parse_options(argc, argv, &o) == -1) {
		fputs("Try spoord --help.\n", stderr);
		goto out;
	}
	rc = EX_OK;
	if (o.help) {
		rc = print_help();
		goto out;
	}
	if (o.version) {
		puts("spoord " PACKAGE_VERSION);
		goto out;
	}
	rc = EX_CONFIG;
	if (config_load(&o.args, &config, &err) == -1) {
		fprintf(stderr, "spoord: %s\n", err.msg);
		goto out;
	}
	if (config_settings(config)->data[0] == '\0' && !o.check_config) {
		fputs("spoord: no data directory: give --data DIR, or data in the configuration file\n",
		      stderr);
		config_free(config);
		goto out;
	}
	if (o.check_config) {
		if (app_check(config, &err) == -1) {
			fprintf(stderr, "spoord: %s\n", err.msg);
		} else {
			puts("the configuration is valid");
			rc = EX_OK;
		}
		config_free(config);
		goto out;
	}
	process_harden(config_settings(config)->core_dumps);
	file_faults_from_env();
	rc = o.rebuild_index ? rebuild_index(config) : serve(config, &o);
out:
	options_fini(&o);
	return rc;
}
