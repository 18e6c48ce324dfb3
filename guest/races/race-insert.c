// SPDX-License-Identifier: GPL-2.0
/*
 * race-insert: drivers that put their own pages into a page table in use.
 *
 * Models: mappings made by remap_pfn_range (registers of a PCI device) and by
 * vm_insert_page (a packet socket's ring), and received TCP data mapped by
 * vm_insert_pages (TCP_ZEROCOPY_RECEIVE), also where some pages are still
 * mapped: its error exit. They come and go in the last 64 pages of a 2 MiB
 * range whose other pages the owners use and drop.
 *
 * Shows: users of get_locked_pte() and apply_to_page_range() and their error
 * exits in a table that is being freed: lost data of the owners, a ring or a
 * received page that shows something else, a leak.
 *
 * Cannot show: what the machine lacks (a PCI device, packet sockets, root for
 * both); the reason in the verdict counts what was mapped.
 */
#include "race.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIFT		64		/* pages */
#define RING_PAGES	24
#define TCP_PAGES	8
#define TCP_WORD(page)	(0x7a65726f00000000ULL + (page))

static int registers = -1, tcp_pipe[2], tcp_send = -1, tcp_receive = -1;
static size_t registers_size;
static unsigned long remapped, packets, received;

/*
 * The owners' pages start SHIFT pages before the range, in the anchor's table,
 * so that the last SHIFT pages of the range are free for the drivers.
 */
static char *locate(unsigned int page)
{
	return arena.base + ((long)page - SHIFT) * (long)PAGE_SIZE;
}

static char *drivers_place(unsigned int page)
{
	return arena.base + arena.size + ((long)page - SHIFT) * (long)PAGE_SIZE;
}

static bool connect_tcp(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listener, mss = TCP_PAGES / 2 * PAGE_SIZE + 12;	/* + time stamps */
	socklen_t len = sizeof(addr);

	if (pipe2(tcp_pipe, O_CLOEXEC))
		return false;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tcp_send = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) ||
	    setsockopt(tcp_send, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) ||
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(tcp_send, (struct sockaddr *)&addr, sizeof(addr)))
		return false;
	tcp_receive = accept(listener, NULL, NULL);
	close(listener);
	return tcp_receive >= 0;
}

/* A register file: mapped at once by remap_pfn_range, but better not read. */
static void find_registers(void)
{
	unsigned int device, resource;
	char path[80], *map;
	struct stat st;

	for (device = 0; device < 32; device++) {
		for (resource = 0; resource < 6; resource++) {
			snprintf(path, sizeof(path),
				 "/sys/bus/pci/devices/0000:00:%02x.0/resource%u",
				 device, resource);
			registers = open(path, O_RDONLY | O_CLOEXEC);
			if (registers < 0)
				continue;
			map = MAP_FAILED;
			if (!fstat(registers, &st) && st.st_size >= (off_t)PAGE_SIZE)
				map = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, registers, 0);
			if (map != MAP_FAILED) {
				munmap(map, PAGE_SIZE);
				registers_size = st.st_size < 4 * (off_t)PAGE_SIZE ?
					PAGE_SIZE : 4 * PAGE_SIZE;
				return;
			}
			close(registers);
			registers = -1;
		}
	}
}

static const char *setup(void)
{
	if (mmap(locate(0), arena.size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return race_skip("mmap");
	if (munmap(drivers_place(0), SHIFT * PAGE_SIZE))
		return race_skip("munmap");
	find_registers();
	if (!connect_tcp())
		tcp_receive = -1;
	return NULL;
}

static void map_registers(void)
{
	char *map;

	if (registers < 0)
		return;
	map = mmap(drivers_place(0), registers_size, PROT_READ, MAP_SHARED | MAP_FIXED,
		   registers, 0);
	if (map == MAP_FAILED)
		race_error("mapping registers: %s", strerror(errno));
	else
		remapped++;
	munmap(drivers_place(0), registers_size);
}

static void map_packets(struct worker *w)
{
	struct tpacket_req req = {
		.tp_block_size = PAGE_SIZE,
		.tp_block_nr = RING_PAGES,
		.tp_frame_size = PAGE_SIZE,
		.tp_frame_nr = RING_PAGES,
	};
	unsigned int i;
	char *ring;
	int fd;

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);	/* receives nothing */
	if (fd < 0)
		return;
	if (setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req))) {
		close(fd);
		return;
	}
	ring = mmap(drivers_place(4), RING_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, fd, 0);
	close(fd);
	if (ring == MAP_FAILED)
		return;
	for (i = 0; i < RING_PAGES; i++) {
		uint64_t *word = (uint64_t *)(ring + i * PAGE_SIZE + 512);

		if (load64(word))
			race_error("page %u of a new packet ring holds %#llx", i,
				   (unsigned long long)load64(word));
		store64(word, 1);
	}
	packets++;
	/* Half of them go before the rest. */
	i = rnd(w, RING_PAGES);
	if (i)
		munmap(ring, i * PAGE_SIZE);
	munmap(ring, RING_PAGES * PAGE_SIZE);
}

/*
 * Only whole single pages that belong to nobody can be mapped by the receiver:
 * those of a pipe.
 */
static bool send_pages(struct worker *w)
{
	size_t left = TCP_PAGES * PAGE_SIZE;
	unsigned int page;
	ssize_t n;

	memset(w->bounce, 0, PAGE_SIZE);
	for (page = 0; page < TCP_PAGES; page++) {
		uint64_t word = TCP_WORD(page);

		memcpy(w->bounce, &word, sizeof(word));
		if (write(tcp_pipe[1], w->bounce, PAGE_SIZE) != (ssize_t)PAGE_SIZE)
			return false;
	}
	for (; left; left -= n) {
		n = splice(tcp_pipe[0], NULL, tcp_send, NULL, left,
			   left > PAGE_SIZE ? SPLICE_F_MORE : 0);
		if (n <= 0)
			return false;
	}
	return true;
}

static void check_received(char *at, unsigned int page, unsigned int end)
{
	for (; page < end; page++) {
		uint64_t word = load64((uint64_t *)(at + page * PAGE_SIZE));

		if (word != TCP_WORD(page))
			race_error("received page %u holds %#llx", page,
				   (unsigned long long)word);
	}
}

/* Take what was sent: mapped at its place, or copied if it cannot be mapped. */
static void receive(struct worker *w, char *at, unsigned int flags)
{
	size_t size = TCP_PAGES * PAGE_SIZE, got = 0;
	struct tcp_zerocopy_receive zc;
	socklen_t len;
	ssize_t n;

	while (got < size && !stopping()) {
		memset(&zc, 0, sizeof(zc));
		zc.address = (uintptr_t)at + round_up(got, PAGE_SIZE);
		zc.length = size - round_up(got, PAGE_SIZE);
		zc.flags = flags;
		len = sizeof(zc);
		if (!(got % PAGE_SIZE) &&
		    !getsockopt(tcp_receive, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len) &&
		    zc.length) {
			check_received(at, got / PAGE_SIZE, (got + zc.length) / PAGE_SIZE);
			received += zc.length / PAGE_SIZE;
			got += zc.length;
			continue;
		}
		/* What does not fill a page at a page's place is copied. */
		n = size - got;
		if (got % PAGE_SIZE)
			n = PAGE_SIZE - got % PAGE_SIZE;
		else if (zc.recv_skip_hint && zc.recv_skip_hint < (size_t)n)
			n = zc.recv_skip_hint;
		if (n > (ssize_t)PAGE_SIZE)
			n = PAGE_SIZE;
		n = recv(tcp_receive, w->bounce, n, MSG_DONTWAIT);
		if (n > 0)
			got += n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			race_error("recv: %s", strerror(errno));
		else
			sched_yield();
	}
}

/*
 * The second time the kernel is told that nothing is mapped there, which is not
 * true from some page on: it finds out when it has entered those before.
 */
static void map_received(struct worker *w)
{
	char *at = drivers_place(32);
	size_t size = TCP_PAGES * PAGE_SIZE;
	bool twice = rnd(w, 2);

	if (tcp_receive < 0)
		return;
	if (mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, tcp_receive, 0) == MAP_FAILED)
		return;
	if (!send_pages(w))
		goto failed;
	receive(w, at, 0);
	if (twice) {
		if (madvise(at, (1 + rnd(w, TCP_PAGES - 1)) * PAGE_SIZE, MADV_DONTNEED))
			race_error("MADV_DONTNEED of received pages: %s", strerror(errno));
		if (!send_pages(w))
			goto failed;
		receive(w, at, TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT);
	}
	if (rnd(w, 2) && madvise(at, size, MADV_DONTNEED))
		race_error("MADV_DONTNEED of received pages: %s", strerror(errno));
	munmap(at, size);
	return;

failed:
	race_error("sending through a pipe: %s", strerror(errno));
	munmap(at, size);
}

/* One thread for all three, so that nobody maps into another's hole. */
static void insert(struct worker *w)
{
	switch (rnd(w, 3)) {
	case 0:
		w->doing = "device registers";
		map_registers();
		break;
	case 1:
		w->doing = "a packet ring";
		map_packets(w);
		break;
	default:
		w->doing = "TCP_ZEROCOPY_RECEIVE";
		map_received(w);
	}
}

static void quiesce(void)
{
	race_note("mapped: registers %lu times, packet rings %lu times, %lu TCP pages",
		  remapped, packets, received);
}

static void unmap_all(void)
{
	munmap(locate(0), arena.size);
	munmap(drivers_place(0), SHIFT * PAGE_SIZE);
}

const struct race race = {
	.name = "insert",
	.ranges = 1,
	.setup = setup,
	.locate = locate,
	.antagonists = { insert },
	.quiesce = quiesce,
	.unmap_all = unmap_all,
};
