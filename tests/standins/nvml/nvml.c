/* A stand-in for libnvidia-ml.so.1: it tests how orchestrator reads NVML, never how a GPU behaves.
 *
 * Knobs, read from the environment at every call:
 *   STANDIN_NVML_INIT        return code of init (9 driver not loaded, 18 version mismatch, ...)
 *   STANDIN_NVML_INIT_SLEEP  seconds that init hangs
 *   STANDIN_NVML_HANDLE      return code of every handle (15 = lost card)
 *   STANDIN_NVML_MEMORY      return code of memory information, both versions (3 = not supported)
 *   STANDIN_NVML_ALL         return code of every per-device question except uuid, name and capability
 *   STANDIN_NVML_GPUS        cards, separated by ';', each "name,total MiB,used MiB,major,minor[,key=value...]" with keys
 *                            mode (compute mode), mig (slices), v1 (no memory v2), pid, cores, clock, throttle,
 *                            persist, limit and default (power, W), ecc (uncorrected errors), retired (pages), pending
 *                            and failure (of row remapping), util (%), gen, width, maxgen, maxwidth (PCIe),
 *                            split (MIG is on and there is no slice), swing (MiB that every second reading of the memory finds more in use)
 *   STANDIN_NVML_DRIVER      driver version
 *   STANDIN_NVML_CUDA        CUDA version as NVML writes it (13000)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CARDS 8
#define SLICES 7
#define MIB (1024ULL * 1024ULL)
#define KEPT_MIB 300ULL

typedef struct {
  char name[96];
  unsigned long long total, used;
  int major, minor, mode, mig, v1, pid, cores, clock, throttle, index, slice;
  int persist, limit, fallback, ecc, retired, pending, failure, util, gen, width, maxgen, maxwidth, swing, split;
} card;

static card cards[CARDS * (SLICES + 1)];

static int number(const char *name) {
  const char *text = getenv(name);
  return text ? atoi(text) : 0;
}

static int value(const char *text, const char *key, int otherwise) {
  char pattern[32];
  snprintf(pattern, sizeof pattern, ",%s=", key);
  const char *found = strstr(text, pattern);
  return found ? atoi(found + strlen(pattern)) : otherwise;
}

static int read_cards(void) {
  const char *text = getenv("STANDIN_NVML_GPUS");
  char copy[4096];
  int count = 0;
  if (!text || !*text) return 0;
  snprintf(copy, sizeof copy, "%s", text);
  for (char *rest = copy, *one; (one = strsep(&rest, ";")) && count < CARDS; count++) {
    card *c = &cards[count];
    memset(c, 0, sizeof *c);
    sscanf(one, "%95[^,],%llu,%llu,%d,%d", c->name, &c->total, &c->used, &c->major, &c->minor);
    c->mode = value(one, "mode", 0);
    c->mig = value(one, "mig", 0);
    c->v1 = value(one, "v1", 0);
    c->pid = value(one, "pid", 0);
    c->cores = value(one, "cores", 0);
    c->clock = value(one, "clock", 0);
    c->throttle = value(one, "throttle", 0);
    c->persist = value(one, "persist", 1);
    c->limit = value(one, "limit", 170);
    c->fallback = value(one, "default", 170);
    c->ecc = value(one, "ecc", -1);
    c->retired = value(one, "retired", 0);
    c->pending = value(one, "pending", 0);
    c->failure = value(one, "failure", 0);
    c->util = value(one, "util", 37);
    c->gen = value(one, "gen", 3);
    c->width = value(one, "width", 8);
    c->maxgen = value(one, "maxgen", 4);
    c->maxwidth = value(one, "maxwidth", 16);
    c->swing = value(one, "swing", 0);
    c->split = value(one, "split", 0);
    c->index = count;
    c->slice = -1;
    for (int s = 0; s < c->mig && s < SLICES; s++) {
      card *part = &cards[CARDS + count * SLICES + s];
      *part = *c;
      snprintf(part->name, sizeof part->name, "%.60s MIG 1g.10gb", c->name);
      part->total = c->total / 7;
      part->used = c->used / 7;
      part->mig = 0;
      part->slice = s;
    }
  }
  return count;
}

static int denied(void) { return number("STANDIN_NVML_ALL"); }

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  if (number("STANDIN_NVML_INIT_SLEEP")) sleep(number("STANDIN_NVML_INIT_SLEEP"));
  read_cards();
  return number("STANDIN_NVML_INIT");
}
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) {
  static char text[32];
  snprintf(text, sizeof text, "stand-in error %d", code);
  return text;
}
int nvmlSystemGetDriverVersion(char *out, unsigned size) {
  const char *version = getenv("STANDIN_NVML_DRIVER");
  return snprintf(out, size, "%s", version ? version : "580.95.05"), 0;
}
int nvmlSystemGetNVMLVersion(char *out, unsigned size) { return snprintf(out, size, "13.580.95"), 0; }
int nvmlSystemGetCudaDriverVersion(int *v) { return *v = getenv("STANDIN_NVML_CUDA") ? number("STANDIN_NVML_CUDA") : 13000, 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *v) { return nvmlSystemGetCudaDriverVersion(v); }
int nvmlDeviceGetCount_v2(unsigned *n) { return *n = read_cards(), 0; }
int nvmlDeviceGetCount(unsigned *n) { return nvmlDeviceGetCount_v2(n); }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **handle) {
  if (number("STANDIN_NVML_HANDLE")) return number("STANDIN_NVML_HANDLE");
  if ((int)i >= read_cards()) return 2;
  return *handle = &cards[i], 0;
}
int nvmlDeviceGetHandleByIndex(unsigned i, void **handle) { return nvmlDeviceGetHandleByIndex_v2(i, handle); }
int nvmlDeviceGetIndex(card *c, unsigned *i) { return *i = c->index, 0; }
int nvmlDeviceGetName(card *c, char *out, unsigned size) { return snprintf(out, size, "%s", c->name), 0; }
int nvmlDeviceGetUUID(card *c, char *out, unsigned size) {
  if (c->slice >= 0) return snprintf(out, size, "MIG-standin-%d-%d", c->index, c->slice), 0;
  return snprintf(out, size, "GPU-standin-%d", c->index), 0;
}
int nvmlDeviceGetUUID(card *c, char *out, unsigned size);
static unsigned long long in_use(card *c) {
  static int readings = 0;
  return c->used + (c->swing && readings++ % 2 ? c->swing : 0);
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
  char own[80];
  read_cards();
  for (int i = 0; i < CARDS * (SLICES + 1); i++) {
    if (!cards[i].name[0]) continue;
    nvmlDeviceGetUUID(&cards[i], own, sizeof own);
    if (!strcmp(own, uuid)) return *handle = &cards[i], number("STANDIN_NVML_HANDLE");
  }
  return 6;
}
int nvmlDeviceGetPciInfo_v3(card *c, struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } *p) {
  memset(p, 0, sizeof *p);
  p->bus = c->index + 1;
  snprintf(p->legacy, sizeof p->legacy, "0000:%02X:00.0", p->bus);
  return snprintf(p->bus_id, sizeof p->bus_id, "00000000:%02X:00.0", p->bus), denied();
}
int nvmlDeviceGetMemoryInfo(card *c, struct { unsigned long long total, free, used; } *m) {
  if (number("STANDIN_NVML_MEMORY")) return number("STANDIN_NVML_MEMORY");
  unsigned long long used = in_use(c) + KEPT_MIB;
  return m->total = c->total * MIB, m->used = used * MIB, m->free = (c->total - used) * MIB, 0;
}
int nvmlDeviceGetMemoryInfo_v2(card *c, struct { unsigned version; unsigned long long total, reserved, free, used; } *m) {
  if (number("STANDIN_NVML_MEMORY")) return number("STANDIN_NVML_MEMORY");
  if (c->v1) return 3;
  m->total = c->total * MIB;
  m->reserved = KEPT_MIB * MIB;
  unsigned long long used = in_use(c);
  m->used = used * MIB;
  return m->free = (c->total - KEPT_MIB - used) * MIB, 0;
}
int nvmlDeviceGetCudaComputeCapability(card *c, int *major, int *minor) { return *major = c->major, *minor = c->minor, 0; }
int nvmlDeviceGetArchitecture(card *c, unsigned *a) { return *a = c->major == 6 ? 4 : c->major == 7 ? 6 : 7, denied(); }
int nvmlDeviceGetMigMode(card *c, unsigned *now, unsigned *later) {
  if (!c->mig && !c->split) return 3;
  return *now = *later = 1, denied();
}
int nvmlDeviceGetMaxMigDeviceCount(card *c, unsigned *n) { return *n = SLICES, (void)c, 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(card *c, unsigned s, void **part) {
  if ((int)s >= c->mig) return 6;
  return *part = &cards[CARDS + c->index * SLICES + s], 0;
}
int nvmlDeviceGetComputeMode(card *c, unsigned *mode) { return *mode = c->mode, denied(); }
int nvmlDeviceGetPersistenceMode(card *c, unsigned *on) { return *on = c->persist, denied(); }
int nvmlDeviceGetEccMode(card *c, unsigned *now, unsigned *later) { return *now = *later = c->ecc >= 0, c->ecc >= 0 ? denied() : 3; }
int nvmlDeviceGetTotalEccErrors(card *c, int kind, int counter, unsigned long long *n) {
  return *n = kind == 1 ? c->ecc : 0, (void)counter, denied();
}
int nvmlDeviceGetRetiredPages(card *c, int cause, unsigned *count, unsigned long long *pages) {
  unsigned have = cause == 1 ? c->retired : 0;
  if (denied()) return denied();
  if (!pages || *count < have) return *count = have, have ? 7 : 0;
  for (unsigned i = 0; i < have; i++) pages[i] = 4096ULL * i;
  return *count = have, 0;
}
int nvmlDeviceGetRemappedRows(card *c, unsigned *correctable, unsigned *uncorrectable, unsigned *pending, unsigned *failure) {
  *correctable = *uncorrectable = 0;
  return *pending = c->pending, *failure = c->failure, denied();
}
int nvmlDeviceGetUtilizationRates(card *c, struct { unsigned gpu, memory; } *u) {
  return u->gpu = c->util, u->memory = c->util / 3, denied();
}
int nvmlDeviceGetTemperature(card *c, int sensor, unsigned *t) { return *t = 41, (void)c, (void)sensor, denied(); }
int nvmlDeviceGetPowerUsage(card *c, unsigned *mw) { return *mw = 15500, (void)c, denied(); }
int nvmlDeviceGetTotalEnergyConsumption(card *c, unsigned long long *mj) {
  struct timespec now;
  if (c->major < 7) return 3; /* as cards before Volta */
  clock_gettime(CLOCK_MONOTONIC, &now);
  return *mj = (unsigned long long)(now.tv_sec * 15500.0 + now.tv_nsec * 15500e-9), denied();
}
int nvmlDeviceGetClockInfo(card *c, int kind, unsigned *mhz) { return *mhz = kind == 1 ? 1777 : 7501, (void)c, denied(); }
int nvmlDeviceGetEnforcedPowerLimit(card *c, unsigned *mw) { return *mw = c->limit * 1000, denied(); }
int nvmlDeviceGetPowerManagementDefaultLimit(card *c, unsigned *mw) { return *mw = c->fallback * 1000, denied(); }
int nvmlDeviceGetCurrentClocksThrottleReasons(card *c, unsigned long long *r) { return *r = c->throttle, denied(); }
int nvmlDeviceGetNumGpuCores(card *c, unsigned *n) { return *n = c->cores, c->cores ? denied() : 3; }
int nvmlDeviceGetMaxClockInfo(card *c, int kind, unsigned *mhz) { return *mhz = c->clock, (void)kind, c->clock ? denied() : 3; }
int nvmlDeviceGetCurrPcieLinkGeneration(card *c, unsigned *v) { return *v = c->gen, denied(); }
int nvmlDeviceGetCurrPcieLinkWidth(card *c, unsigned *v) { return *v = c->width, denied(); }
int nvmlDeviceGetMaxPcieLinkGeneration(card *c, unsigned *v) { return *v = c->maxgen, denied(); }
int nvmlDeviceGetMaxPcieLinkWidth(card *c, unsigned *v) { return *v = c->maxwidth, denied(); }

struct process { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };
int nvmlDeviceGetComputeRunningProcesses_v3(card *c, unsigned *count, struct process *list) {
  if (denied()) return denied();
  if (!c->pid) return *count = 0, 0;
  if (*count == 0) return *count = 1, 7;
  list[0].pid = c->pid;
  list[0].used = c->used * MIB;
  return *count = 1, 0;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(card *c, unsigned *count, void *list) {
  return *count = 0, (void)c, (void)list, denied();
}
