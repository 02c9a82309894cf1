/* The floor under every DNS server on this machine: datagrams in, the same datagrams out, up to 64 for each system call.
 *
 * It knows nothing of DNS but the QR bit (RFC 1035 section 4.1.1), which it sets so that dnsperf takes the query that
 * comes back for its answer. Whatever a server costs above this is the server's own doing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, DATAGRAM = 4096, FLAGS = 2, QR = 0x80 };

static unsigned char datagrams[BATCH][DATAGRAM];
static struct sockaddr_in clients[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

static int failed(const char *call) {
    perror(call);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    struct sockaddr_in here = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    if (udp < 0) return failed("socket");
    if (bind(udp, (struct sockaddr *)&here, sizeof here) < 0) return failed("bind");

    for (int i = 0; i < BATCH; i++) {
        parts[i].iov_base = datagrams[i];
        messages[i].msg_hdr.msg_name = &clients[i];
        messages[i].msg_hdr.msg_namelen = sizeof clients[i];
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++) parts[i].iov_len = DATAGRAM;
        int received = recvmmsg(udp, messages, BATCH, MSG_WAITFORONE, NULL);
        if (received < 0) return failed("recvmmsg");
        for (int i = 0; i < received; i++) {
            datagrams[i][FLAGS] |= QR;
            parts[i].iov_len = messages[i].msg_len;
        }
        for (int sent = 0; sent < received;) {
            int more = sendmmsg(udp, messages + sent, (unsigned)(received - sent), 0);
            if (more < 0) return failed("sendmmsg");
            sent += more;
        }
    }
}
