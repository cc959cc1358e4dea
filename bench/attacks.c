// What a hostile or careless task does to its neighbours: each argument is one attack, and it goes on until it is stopped.
// Built statically by bench/hostile.py into an image that has nothing else.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void wait_for_ever(void) {
    for (;;) pause();
}

static void short_pause(void) {
    struct timespec a_millisecond = {0, 1000000};
    nanosleep(&a_millisecond, NULL);
}

static struct sockaddr_in address(const char *text, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, text, &to.sin_addr);
    return to;
}

// Nothing: what quiet looks like.
static void quiet(void) { wait_for_ever(); }

// Every process makes another, as often as it may.
static void forks(void) {
    for (;;)
        if (fork() < 0) short_pause();
}

// Processor time, by more threads of control than the machine has cores.
static void spin(void) {
    for (int i = 0; i < 15; i++)
        if (fork() == 0) break;
    for (volatile unsigned long n = 0;; n++) {}
}

// One-byte lines as fast as the pipe takes them.
static void lines(void) {
    static char block[65536];
    for (size_t i = 0; i < sizeof block; i += 2) memcpy(block + i, "y\n", 2);
    for (;;)
        if (write(1, block, sizeof block) < 0) short_pause();
}

// Memory until the limit kills it; the restart policy of its service brings it back.
static void memory(void) {
    for (;;) {
        char *chunk = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED) short_pause();
        else memset(chunk, 1, 1 << 20);
    }
}

// Bytes, as fast as the disk takes them, over and over in the same gigabyte.
static void bytes(void) {
    static char block[1 << 20];
    memset(block, 1, sizeof block);
    int fd = open("/bytes", O_CREAT | O_WRONLY, 0600);
    for (off_t at = 0;; at = (at + sizeof block) % (1L << 30))
        if (pwrite(fd, block, sizeof block, at) < 0) short_pause();
}

// Files without content: a million at most, since they stay.
static void inodes(void) {
    char name[32];
    for (int i = 0; i < 1000000; i++) {
        snprintf(name, sizeof name, "/inode-%d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0) short_pause();
        else close(fd);
    }
    wait_for_ever();
}

// Directories in directories, deeper than any path can say.
static void depth(void) {
    for (int i = 0; i < 60000; i++)
        if (mkdir("d", 0700) < 0 || chdir("d") < 0) break;
    wait_for_ever();
}

// All inotify instances that the kernel gives.
static void inotify(void) {
    for (;;)
        if (inotify_init1(0) < 0) short_pause();
}

// All open files that the kernel gives, in as many processes as may be.
static void files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (;;) {
        if (open("/proc/self/exe", O_RDONLY) >= 0) continue;
        // The child has the parent's descriptors as its own; what it opens then is its share.
        pid_t child = fork();
        if (child != 0) wait_for_ever();
        for (int fd = 3; fd < (int)limit.rlim_cur; fd++) close(fd);
    }
}

// Connections to the resolver by TCP that never ask.
static void resolver(void) {
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in to = address("169.254.169.253", 53);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
            if (fd >= 0) close(fd);
            short_pause();
        }
    }
}

// Questions to the resolver that nobody can answer soon.
static void questions(void) {
    unsigned char ask[] = "\0\0\1\0\0\1\0\0\0\0\0\0\10xxxxxxxx\4slow\7invalid\0\0\1\0\1";
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = address("169.254.169.253", 53);
    for (unsigned n = 0;; n++) {
        memcpy(ask, &n, 2);
        for (int i = 0; i < 8; i++) ask[13 + i] = 'a' + (n >> (4 * i)) % 16;
        sendto(fd, ask, sizeof ask - 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
        if (n % 50 == 0) short_pause();
    }
}

// A flow of its own for each datagram, to fill the table of flows.
static void flows(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (unsigned n = 0;; n++) {
        struct sockaddr_in to = address("172.31.255.254", 1 + n % 65535);
        if (n % 65535 == 0) {
            close(fd);
            fd = socket(AF_INET, SOCK_DGRAM, 0);
        }
        sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
    }
}

// Its own control groups, where they can be written: no limit, many groups, and a stop that never ends.
static void groups(void) {
    static const char *const writes[][2] = {
        {"/sys/fs/cgroup/pids/pids.max", "max"},         {"/sys/fs/cgroup/cpu/cpu.shares", "262144"},
        {"/sys/fs/cgroup/memory/memory.oom_control", "1"}, {"/sys/fs/cgroup/pids.max", "max"},
        {"/sys/fs/cgroup/cpu.weight", "10000"},
    };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        int fd = open(writes[i][0], O_WRONLY);
        if (fd >= 0 && write(fd, writes[i][1], strlen(writes[i][1])) > 0) printf("open: %s\n", writes[i][0]);
    }
    char name[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "/sys/fs/cgroup/memory/group-%d", i);
        if (mkdir(name, 0700) == 0 && i == 0) printf("open: %s\n", name);
    }
    fflush(stdout);
    int fd = open("/sys/fs/cgroup/freezer/freezer.state", O_WRONLY);
    if (fd >= 0 && write(fd, "FROZEN", 6) > 0) printf("open: freezer\n");
    wait_for_ever();
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } attacks[] = {
        {"quiet", quiet},     {"forks", forks},   {"spin", spin},           {"lines", lines},         {"memory", memory},
        {"bytes", bytes},     {"inodes", inodes}, {"depth", depth},         {"inotify", inotify},     {"files", files},
        {"resolver", resolver}, {"questions", questions}, {"flows", flows}, {"groups", groups},
    };
    // As a first process it would get no signal that it does not ask for; none of the attacks does.
    signal(SIGCHLD, SIG_IGN);
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
        if (count > 1 && !strcmp(arguments[1], attacks[i].name)) attacks[i].run();
    return 1;
}
