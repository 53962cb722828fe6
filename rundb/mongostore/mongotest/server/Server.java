import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.net.InetSocketAddress;
import java.util.List;

/**
 * A server that speaks MongoDB's protocol and keeps everything in memory. It
 * prints the port that it listens on at 127.0.0.1 and ends when its standard
 * input does, so that it does not outlive the test that started it.
 */
public final class Server {

    /** What the Go driver asks for at least; the library's own versions stop below. */
    private static final class Version implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 0);
        }

        @Override
        public int getWireVersion() {
            return 9;
        }
    }

    public static void main(String[] args) throws Exception {
        MongoBackend backend = new MemoryBackend().version(new Version());
        MongoServer server = new MongoServer(backend);
        server.bind("127.0.0.1", 0);
        InetSocketAddress address = server.getLocalAddress();
        System.out.println("port " + address.getPort());
        System.out.flush();
        while (System.in.read() >= 0) {
            // Nothing is said; the end of the stream is waited for.
        }
        server.shutdownNow();
    }
}
