/* Asks a DNS server at a steady rate, and tells how long its answers take.
 *
 *     latency PORT QUERIES_PER_SECOND SECONDS FILE
 *
 * FILE holds queries as DNS over TCP has them: two bytes of length, and the packet (RFC 1035 section 4.2.2). They are sent
 * over UDP to 127.0.0.1 in turn, each with an ID of its own. A query's time begins when it was due, not when it was sent:
 * what waits behind a server that has stopped, waits for it. Where that is allowed, this program comes before all others
 * on its core (sched(7)): it times a server, not how long it waits for its own turn. Prints: sent, answered, and p50, p99,
 * p99.9 and the longest time in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { IDS = 65536, QUERIES = 200000, PACKET = 512, BUFFER = 8 << 20 };

static const double PATIENCE = 1.0; /* seconds for the last answers */

static double due_at[IDS];
static unsigned char is_awaited[IDS];
static unsigned char *queries[QUERIES];
static int lengths[QUERIES];

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int by_size(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static int read_queries(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    int count = 0, high, low;
    while (count < QUERIES && (high = getc(file)) != EOF && (low = getc(file)) != EOF) {
        int length = high << 8 | low;
        if (length < 12 || length > PACKET || !(queries[count] = malloc(PACKET))) break;
        if (fread(queries[count], 1, (size_t)length, file) != (size_t)length) break;
        lengths[count++] = length;
    }
    fclose(file);
    return count;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: %s PORT QUERIES_PER_SECOND SECONDS FILE\n", argv[0]);
        return 2;
    }
    double rate = atof(argv[2]), seconds = atof(argv[3]);
    int count = read_queries(argv[4]), udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), buffer = BUFFER;
    struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (!count || rate <= 0 || udp < 0 || connect(udp, (struct sockaddr *)&server, sizeof server) < 0) {
        fprintf(stderr, "%s: no queries in %s, no rate, or no socket\n", argv[0], argv[4]);
        return 1;
    }
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});

    size_t total = (size_t)(rate * seconds), sent = 0, answered = 0;
    double *times = malloc((total + 1) * sizeof *times), begun = now(), end = begun + seconds;
    unsigned char packet[65536];
    if (!times) return 1;
    while (now() < end + PATIENCE && !(sent == total && answered == total)) {
        while (sent < total && begun + (double)sent / rate <= now()) {
            unsigned id = sent % IDS;
            int which = (int)(sent % (size_t)count);
            memcpy(packet, queries[which], (size_t)lengths[which]);
            packet[0] = (unsigned char)(id >> 8);
            packet[1] = (unsigned char)id;
            due_at[id] = begun + (double)sent / rate;
            is_awaited[id] = 1;
            if (send(udp, packet, (size_t)lengths[which], 0) < 0) break;
            sent++;
        }
        while (recv(udp, packet, sizeof packet, 0) >= 12) {
            unsigned id = (unsigned)packet[0] << 8 | packet[1];
            if (is_awaited[id]) {
                is_awaited[id] = 0;
                times[answered++] = now() - due_at[id];
            }
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    qsort(times, answered, sizeof *times, by_size);
    printf("%zu %zu", sent, answered);
    const double parts[] = {0.5, 0.99, 0.999, 1.0};
    for (int i = 0; i < 4; i++) {
        size_t at = (size_t)((double)answered * parts[i]);
        printf(" %.0f", answered ? times[at < answered ? at : answered - 1] * 1e6 : 0.0);
    }
    putchar('\n');
    return 0;
}
