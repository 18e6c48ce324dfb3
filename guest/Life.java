/*
 * Life: a Java program whose heap fills and empties twice, for the workload `runtime`.
 *
 * Fills MIB of objects of 64 bytes to 8 KiB, drops all but KEEP per cent of them, by SEED, asks for
 * a collection, after which the collector (G1) gives back what the heap does not need, and waits
 * IDLE ms; then all of it again. Prints its pid, a line for each fifth of a fill,
 * {"mark":"emptied"} after the first life, when it waits for a line of standard input, and "done";
 * then it stays until standard input ends.
 *
 * Cannot show: a heap that shrinks by itself (G1PeriodicGCInterval), which takes minutes.
 */
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

class Life {
	static final int PARTS = 5;

	public static void main(String[] argv) throws IOException, InterruptedException {
		if (argv.length != 4) {
			System.err.println("usage: life MIB KEEP IDLE_MS SEED");
			System.exit(2);
		}
		int mib = Integer.parseInt(argv[0]), keep = Integer.parseInt(argv[1]);
		int idle = Integer.parseInt(argv[2]);
		Random chance = new Random(Integer.parseInt(argv[3]));
		say("{\"pid\":" + ProcessHandle.current().pid() + ",\"program\":\"java\"}");
		List<byte[]> objects = new ArrayList<>();
		int total = 0;
		for (int life = 0; life < 2; life++) {
			for (int part = 0; part < PARTS; part++) {
				total += fill(objects, ((long) mib << 20) / PARTS, chance);
				say("{\"phase\":\"fill\",\"objects\":" + total + "}");
			}
			drop(objects, keep, chance);
			System.gc();
			for (int waited = 0; waited < idle; waited += 100) {
				Thread.sleep(100);
				say("{\"phase\":\"idle\"}");
			}
			if (life == 0) {
				say("{\"mark\":\"emptied\"}");
				waitForLine();
			}
		}
		say("{\"done\":" + total + ",\"kept\":" + objects.size() + "}");
		while (System.in.read() >= 0) {
		}
	}

	/*
	 * Methods of their own: what a local variable or a loop's iterator of main() last held would
	 * stay alive while it runs.
	 */
	static int fill(List<byte[]> objects, long left, Random chance) {
		int made = 0;
		for (; left > 0; made++) {
			byte[] object = new byte[64 + chance.nextInt(8192 - 64)];
			objects.add(object);
			left -= object.length;
		}
		return made;
	}

	static void drop(List<byte[]> objects, int keep, Random chance) {
		objects.removeIf(object -> chance.nextInt(100) >= keep);
		((ArrayList<byte[]>) objects).trimToSize();
	}

	/* Or for the end of standard input. */
	static void waitForLine() throws IOException {
		for (int c = 0; c >= 0 && c != '\n'; c = System.in.read()) {
		}
	}

	static void say(String line) {
		System.out.println(line);
		System.out.flush();
	}
}
