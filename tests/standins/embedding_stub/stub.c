/* A stand-in for an embedding server that answers at once: it measures clients, never a model.
 *
 * stub PORT DIMENSION     prints the port it listens on (0 takes a free one), serves until it is killed.
 *
 * POST /v1/embeddings     base64 vectors of length 1; different texts get different vectors, the same text the same
 *                         (64 bits of its hash stand in the first twelve numbers, the rest comes from a small pool);
 *                         `usage` counts a token per word and two special ones per text
 * POST /tokenize          the same count of `prompt`
 * GET  /v1/models  /health  /counted      /counted: {"requests": n, "documents": n} answered so far
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { POOL = 64, LEAD_GROUPS = 4, LEAD_FLOATS = 12, CONNECTIONS = 4096, EVENTS = 64 };

typedef struct {
    char *in, *out;
    size_t in_size, in_used, out_size, out_used, out_sent;
} Connection;

static Connection connections[CONNECTIONS];
static size_t dimension, text_length; /* text_length: base64 of one vector */
static char *pool[POOL];
static char (*lead)[16]; /* base64 of three floats for each 16 bits */
static uint64_t requests, documents;

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(const unsigned char *bytes, size_t count, char *out) {
    char *start = out;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t three = bytes[i] << 16 | (left > 1 ? bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        *out++ = LETTERS[three >> 18];
        *out++ = LETTERS[three >> 12 & 63];
        *out++ = left > 1 ? LETTERS[three >> 6 & 63] : '=';
        *out++ = left > 2 ? LETTERS[three & 63] : '=';
    }
    return out - start;
}

static void prepare(void) {
    uint64_t state = 88172645463325252ULL;
    float *vector = malloc(dimension * sizeof(float));
    text_length = (dimension * sizeof(float) + 2) / 3 * 4;
    for (int p = 0; p < POOL; p++) {
        double sum = 0;
        for (size_t i = 0; i < dimension; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            vector[i] = i < LEAD_FLOATS ? 0 : (float)((int64_t)state / 9.3e18);
            sum += (double)vector[i] * vector[i];
        }
        for (size_t i = 0; i < dimension; i++) vector[i] /= (float)sqrt(sum);
        pool[p] = malloc(text_length);
        encode((unsigned char *)vector, dimension * sizeof(float), pool[p]);
    }
    free(vector);
    lead = malloc(65536 * 16);
    for (int v = 0; v < 65536; v++) { /* small enough that the norm stays 1 to 1e-5 */
        float three[3] = {(v & 63) * 1e-5f, (v >> 6 & 31) * 1e-5f, (v >> 11) * 1e-5f};
        encode((unsigned char *)three, sizeof three, lead[v]);
    }
}

static void room(char **buffer, size_t *size, size_t wanted) {
    if (*size >= wanted) return;
    while (*size < wanted) *size = *size ? *size * 2 : 65536;
    *buffer = realloc(*buffer, *size);
}

static void put(Connection *c, const char *text, size_t count) {
    room(&c->out, &c->out_size, c->out_used + count);
    memcpy(c->out + c->out_used, text, count);
    c->out_used += count;
}

#define SAY(c, ...) do { char said[512]; put(c, said, snprintf(said, sizeof said, __VA_ARGS__)); } while (0)

static void answer(Connection *c, const char *status, const char *body) {
    SAY(c, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status, strlen(body));
    put(c, body, strlen(body));
}

static const char *end_of_string(const char *p) { /* p behind the opening quote */
    while (*p && *p != '"') p += *p == '\\' && p[1] ? 2 : 1;
    return p;
}

static const char *value_of(const char *body, const char *key) { /* behind the colon and its spaces */
    const char *found = strstr(body, key);
    if (!found) return NULL;
    found += strlen(key);
    while (*found == ' ' || *found == ':') found++;
    return found;
}

static size_t read_text(const char *p, const char *end, uint64_t *hash) {
    uint64_t h = 14695981039346656037ULL;
    size_t words = p < end;
    for (; p < end; p++) {
        h = (h ^ (unsigned char)*p) * 1099511628211ULL;
        words += *p == ' ';
    }
    h ^= h >> 29, h *= 0xbf58476d1ce4e5b9ULL, h ^= h >> 32;
    *hash = h;
    return words + 2;
}

static void embed(Connection *c, const char *body) {
    const char *input = value_of(body, "\"input\""), *model = value_of(body, "\"model\"");
    if (!input || !model || (*input != '[' && *input != '"')) {
        answer(c, "400 Bad Request", "{\"error\":{\"message\":\"no input or no model\",\"code\":400}}");
        return;
    }
    int model_length = (int)(end_of_string(model + 1) - model - 1);
    size_t head = c->out_used, tokens = 0, index = 0;
    const char *p = *input == '[' ? input + 1 : input;
    SAY(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %010d\r\n\r\n", 0);
    size_t start = c->out_used;
    SAY(c, "{\"object\":\"list\",\"data\":[");
    while (*p == '"' || *p == ',' || *p == ' ') {
        if (*p != '"') { p++; continue; }
        const char *end = end_of_string(++p);
        uint64_t hash;
        tokens += read_text(p, end, &hash);
        SAY(c, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":\"", index ? "," : "", index);
        room(&c->out, &c->out_size, c->out_used + text_length);
        char *out = c->out + c->out_used;
        memcpy(out, pool[hash % POOL], text_length);
        for (int g = 0; g < LEAD_GROUPS; g++) memcpy(out + 16 * g, lead[hash >> 16 * g & 65535], 16);
        c->out_used += text_length;
        put(c, "\"}", 2);
        index++;
        p = end + 1;
        if (*input == '"') break;
    }
    SAY(c, "],\"model\":\"%.*s\",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}",
        model_length < 200 ? model_length : 200, model + 1, tokens, tokens);
    char length[11];
    snprintf(length, sizeof length, "%010zu", c->out_used - start);
    memcpy(memmem(c->out + head, start - head, "0000000000", 10), length, 10);
    requests++;
    documents += index;
}

static void serve(Connection *c, const char *head, const char *body) {
    char said[128];
    if (!strncmp(head, "POST /v1/embeddings", 19)) {
        embed(c, body);
    } else if (!strncmp(head, "POST /tokenize", 14)) {
        const char *prompt = value_of(body, "\"prompt\"");
        uint64_t hash;
        size_t count = prompt ? read_text(prompt + 1, end_of_string(prompt + 1), &hash) : 0;
        snprintf(said, sizeof said, "{\"count\":%zu,\"max_model_len\":32768}", count);
        answer(c, "200 OK", said);
    } else if (!strncmp(head, "GET /counted", 12)) {
        snprintf(said, sizeof said, "{\"requests\":%llu,\"documents\":%llu}", (unsigned long long)requests,
                 (unsigned long long)documents);
        answer(c, "200 OK", said);
    } else if (!strncmp(head, "GET /v1/models", 14)) {
        answer(c, "200 OK", "{\"object\":\"list\",\"data\":[{\"id\":\"stub\",\"object\":\"model\"}]}");
    } else if (!strncmp(head, "GET /", 5)) {
        answer(c, "200 OK", "{}");
    } else {
        answer(c, "404 Not Found", "{\"detail\":\"Not Found\"}");
    }
}

static void take_requests(Connection *c) {
    size_t at = 0;
    for (;;) {
        char *head = c->in + at, *blank = memmem(head, c->in_used - at, "\r\n\r\n", 4);
        if (!blank) break;
        *blank = 0;
        const char *field = strcasestr(head, "\r\ncontent-length:");
        size_t length = field ? strtoul(field + 17, NULL, 10) : 0;
        *blank = '\r';
        size_t whole = blank + 4 - head + length;
        if (c->in_used - at < whole) break;
        char kept = head[whole];
        head[whole] = 0;
        serve(c, head, blank + 4);
        head[whole] = kept;
        at += whole;
    }
    memmove(c->in, c->in + at, c->in_used - at);
    c->in_used -= at;
}

static int flush(int fd, Connection *c) { /* 1: all gone, 0: more to send, -1: broken */
    while (c->out_sent < c->out_used) {
        ssize_t sent = send(fd, c->out + c->out_sent, c->out_used - c->out_sent, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN ? 0 : -1;
        c->out_sent += sent;
    }
    c->out_sent = c->out_used = 0;
    return 1;
}

static int receive(int fd, Connection *c) {
    for (;;) {
        room(&c->in, &c->in_size, c->in_used + 65536);
        ssize_t got = recv(fd, c->in + c->in_used, c->in_size - c->in_used - 1, 0);
        if (got == 0) return -1;
        if (got < 0) return errno == EAGAIN ? 0 : -1;
        c->in_used += got;
        if (c->in_used < c->in_size - 1) return 0;
    }
}

int main(int count, char **words) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
    address.sin_port = htons(count > 1 ? atoi(words[1]) : 0);
    dimension = count > 2 ? atoi(words[2]) : 2560;
    prepare();
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1024)) return perror("listen"), 1;
    getsockname(listener, (void *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int fresh = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (fresh < 0 || fresh >= CONNECTIONS) { close(fresh); continue; }
                setsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                Connection *c = &connections[fresh];
                c->in_used = c->out_used = c->out_sent = 0;
                event.events = EPOLLIN, event.data.fd = fresh;
                epoll_ctl(poller, EPOLL_CTL_ADD, fresh, &event);
                continue;
            }
            Connection *c = &connections[fd];
            int state = events[i].events & EPOLLIN ? receive(fd, c) : 0;
            if (state == 0 && !c->out_used) take_requests(c);
            if (state == 0) state = flush(fd, c);
            if (state < 0) { close(fd); continue; }
            event.events = state ? EPOLLIN : EPOLLOUT, event.data.fd = fd;
            if (!state || events[i].events & EPOLLOUT) epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
        }
    }
}
